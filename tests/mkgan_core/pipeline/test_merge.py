"""The step that joins regions of equal blur."""

from __future__ import annotations

from pathlib import Path

import pytest

from mkgan_core.datasets.layout import Dataset, ImageSpec
from mkgan_core.estimators.spectral import asymmetry
from mkgan_core.pipeline.artifacts import whole_region
from mkgan_core.pipeline.jobs import run
from mkgan_core.pipeline.steps.kernel import KernelJob
from mkgan_core.pipeline.steps.merge import MergeJob, can_merge
from mkgan_core.pipeline.steps.segment import SegmentJob
from tests.data_sets import write_two_blurs
from tests.drive import common_of


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


def test_who_can_tell() -> None:
    assert can_merge("spectral")
    assert can_merge("auto")
    assert not can_merge("kernelgan")
    assert not can_merge(None)
