"""The step that joins regions of equal blur."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from typing_extensions import override

from mkgan_core.datasets.layout import Dataset, ImageSpec
from mkgan_core.estimators.spectral import asymmetry
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import parts, walk
from mkgan_core.pipeline.artifacts import load_region, whole_region
from mkgan_core.pipeline.jobs import run
from mkgan_core.pipeline.method import parse
from mkgan_core.pipeline.records import files_of
from mkgan_core.pipeline.steps.kernel import KernelJob
from mkgan_core.pipeline.steps.merge import MergeJob, can_merge
from mkgan_core.pipeline.steps.segment import SegmentJob
from mkgan_core.segmenters.base import Segmenter
from mkgan_core.segmenters.prompted import PromptedSettings
from mkgan_core.segmenters.rules import AS_DRAWN
from tests.data_sets import write_two_blurs
from tests.drive import common_of
from tests.pictures import shapes


def spec_of(folder: Path, background: float) -> ImageSpec:
    return Dataset(str(write_two_blurs(folder, 1.5, background))).plan(2)[0]


@pytest.mark.parametrize(("background", "count"), [(1.5, 1), (4.0, 2)])
def test_regions_are_joined_where_the_blur_does_not_differ(tmp_path: Path, background: float, count: int) -> None:
    spec = spec_of(tmp_path / "data", background)
    common = common_of(tmp_path / "store")
    entries = tuple(run(SegmentJob(spec, **common, segmenter="given"))["regions"])
    assert len(entries) == 2
    record = run(MergeJob(spec, **common, regions=entries, estimator="spectral"))
    assert len(record["regions"]) == count
    if count == 1:
        assert record["regions"] == [whole_region(spec)]
        assert record["note"]
    else:
        assert record["note"] is None
        assert {entry["key"] for entry in record["regions"]} == {entry["key"] for entry in entries}


def test_estimators_that_agree_share_a_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the asymmetric part, `auto` finds what `spectral` finds, so their enlargements have one key."""
    monkeypatch.setattr(asymmetry, "with_asymmetry", lambda kernel, *_: kernel)
    spec = spec_of(tmp_path / "data", 1.5)
    common = common_of(tmp_path / "store")
    found = [
        run(KernelJob(spec, **common, region=whole_region(spec), seed=0, estimator=name))
        for name in ("spectral", "auto", "bicubic")
    ]
    assert found[0]["kernel_key"] == found[1]["kernel_key"] != found[2]["kernel_key"]


Masks = Mapping[str, np.ndarray]


class Boxes(Segmenter[PromptedSettings]):
    """Two objects, of which one is blurred like the background."""

    settings_class = PromptedSettings
    rules = AS_DRAWN

    @override
    def masks(
        self, image: np.ndarray, given: Mapping[str, np.ndarray], *, device: str = "cpu"
    ) -> dict[str, np.ndarray]:
        real, other = (np.zeros(image.shape[:2], bool) for _ in range(2))
        real[:, :128] = True
        other[60:126, 180:246] = True
        return {"object": real, "object1": other} if self.settings.per_object else {"object": real | other}


def test_objects_are_sorted_only_for_estimators_that_can_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(parts._registry()["segmenter"], "boxes", Boxes)
    spec = Dataset(str(write_two_blurs(tmp_path / "data", 3.0, 0.8, high=shapes(512, 3)[:384]))).plan(2)[0]
    common = common_of(tmp_path / "store")
    sorted_, union, single = (
        walk.run(walk.estimate(spec, parse(name), 0, common), strict=True).segmentation
        for name in ("boxes/spectral+zssr", "boxes/bicubic+zssr", "boxes-objects/bicubic+zssr")
    )
    assert [entry["name"] for entry in union["regions"]] == ["object", "background"]
    assert [entry["name"] for entry in single["regions"]] == ["object", "object1", "background"]
    loaded = {entry["name"]: load_region(Store(common["store"]), spec, entry) for entry in sorted_["regions"]}
    region = loaded["object"]
    assert region.core is not None
    assert region.core[:, :128].all()
    assert not region.core[:, 128:].any()
    assert (region.mask ^ region.core).mean() < 0.05
    assert np.abs(region.shares + loaded["background"].shares - 1).max() < 0.01
    assert ((region.shares > 0.5) ^ region.mask).mean() < 0.01
    assert len(list(files_of(sorted_["regions"]))) == 6


def test_who_can_tell() -> None:
    assert can_merge("spectral")
    assert can_merge("auto")
    assert not can_merge("kernelgan")
    assert not can_merge(None)
