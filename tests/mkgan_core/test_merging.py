"""The step that joins regions of equal blur."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mkgan_core import images, kernels
from mkgan_core.datasets import Dataset, ImageSpec
from mkgan_core.degradation import degrade_two_blurs
from mkgan_core.jobs import run
from mkgan_core.merging import MergeJob, can_merge
from mkgan_core.pipeline import KernelJob, SegmentJob, whole_region
from mkgan_core.storage import Store
from tests.mkgan_core.test_spectral import power_law


def spec_of(folder: Path, background: float) -> ImageSpec:
    """A picture whose left half, the object, is blurred with variance 1.5, the rest with another."""
    store, high = Store(str(folder)), power_law((384, 512), 2.8, 0)
    mask = np.zeros(high.shape[:2], bool)
    mask[:, :256] = True
    inside, outside = (kernels.gaussian(v * np.eye(2), 15, 2) for v in (1.5, background))
    store.write("gt/im_1.png", images.encode_png(high))
    store.write("lr_x2/im_1.png", images.encode_png(degrade_two_blurs(high, mask, inside, outside, 2)))
    store.write("masks/img1/obj_hr_mask.png", images.encode_png(mask))
    return Dataset(str(folder)).plan(2)[0]


@pytest.mark.parametrize(("background", "count"), [(1.5, 1), (4.0, 2)])
def test_regions_are_joined_where_the_blur_does_not_differ(tmp_path: Path, background: float, count: int) -> None:
    spec = spec_of(tmp_path / "data", background)
    common = {"store": (tmp_path / "store").as_uri(), "preset": "fast", "device": "cpu"}
    entries = tuple(run(SegmentJob(spec, **common, segmenter="given"))["regions"])
    assert len(entries) == 2
    record = run(MergeJob(spec, **common, regions=entries, estimator="spectral"))
    assert len(record["regions"]) == count
    if count == 1:
        assert record["regions"] == [whole_region(spec)]
        assert record["note"] == "2 regions, 1 different blur(s)"
    else:
        assert record["note"] is None
        assert {entry["key"] for entry in record["regions"]} == {entry["key"] for entry in entries}


def test_estimators_that_agree_share_a_kernel(tmp_path: Path) -> None:
    """`auto` finds what `spectral` finds, so their enlargements have one key."""
    spec = spec_of(tmp_path / "data", 1.5)
    common = {"store": (tmp_path / "store").as_uri(), "preset": "fast", "device": "cpu"}
    found = [
        run(KernelJob(spec, **common, region=whole_region(spec), seed=0, estimator=name))
        for name in ("spectral", "auto", "bicubic")
    ]
    assert found[0]["kernel_key"] == found[1]["kernel_key"] != found[2]["kernel_key"]


def test_who_can_tell() -> None:
    assert can_merge("spectral")
    assert can_merge("auto")
    assert not can_merge("kernelgan")
    assert not can_merge(None)
