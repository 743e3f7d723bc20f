"""The walk itself: its order, what it shares, what a failed step costs, and the regions that it joins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mkgan_core.datasets.layout import Dataset, ImageSpec
from mkgan_core.errors import KernelError, StorageError
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import jobs, walk
from mkgan_core.pipeline.jobs import Job
from mkgan_core.pipeline.method import parse
from mkgan_core.pipeline.results import Result
from mkgan_core.pipeline.walk import Common
from tests.data_sets import write_two_blurs


def enlarged(
    spec: ImageSpec, common: Common, name: str, step: Callable[[Job[Any]], Any] = jobs.run, seed: int = 0
) -> Result:
    return walk.run(walk.enlarge(spec, parse(name), seed, common), step)


def test_an_image_is_scored(spec: ImageSpec, common: Common) -> None:
    bicubic = enlarged(spec, common, "bicubic").composed
    truth = enlarged(spec, common, "given/ground-truth+back-projection").composed
    assert bicubic and truth
    assert truth["psnr_y"] > bicubic["psnr_y"]
    assert bicubic["kernel_psnr"] == [None]
    assert len(truth["kernel_psnr"]) == 2
    assert min(psnr or 0 for psnr in truth["kernel_psnr"]) > 100
    assert truth["kernel_similarity"] == pytest.approx([1, 1])
    assert Store(common["store"]).exists(truth["output"]["name"])


def test_nothing_finished_is_done_again(spec: ImageSpec, common: Common, monkeypatch: pytest.MonkeyPatch) -> None:
    first = enlarged(spec, common, "given/bicubic+back-projection")
    computed: list[str] = []

    def step(job: Job[Any]) -> Any:
        monkeypatch.setattr(type(job), "compute", lambda self, store: computed.append(self.label))
        return jobs.run(job)

    assert enlarged(spec, common, "given/bicubic+back-projection", step).composed == first.composed
    assert computed == []


def test_the_order_of_the_steps(spec: ImageSpec, common: Common) -> None:
    seen: list[str] = []

    def step(job: Job[Any]) -> Any:
        seen.append(job.step)
        return jobs.run(job)

    enlarged(spec, common, "given/bicubic+back-projection", step)
    assert seen == ["segment", "kernel", "upscale", "kernel", "upscale", "compose"]
    seen.clear()
    walk.run(walk.estimate(spec, parse("given/bicubic+back-projection"), 0, common), step)
    assert seen == ["segment", "kernel", "kernel"]
    seen.clear()
    enlarged(spec, common, "bicubic", step)
    assert seen == ["segment", "upscale", "compose"]


def breaking(kind: str, name: str = "") -> Callable[[Job[Any]], Any]:
    """A step that fails for one kind of job, or for those whose label has a word in it."""

    def step(job: Job[Any]) -> Any:
        if job.step == kind and name in job.label:
            raise StorageError(f"no luck with the\n{kind}")
        return jobs.run(job)

    return step


@pytest.mark.parametrize(
    ("kind", "regions", "segmented"),
    [("segment", 0, False), ("kernel", 2, True), ("upscale", 2, True), ("compose", 2, True)],
)
def test_a_failed_step_fails_its_image_only(
    spec: ImageSpec, common: Common, kind: str, regions: int, segmented: bool
) -> None:
    result = enlarged(spec, common, "given/bicubic+back-projection", breaking(kind))
    assert result.composed is None
    assert (result.segmentation is not None) == segmented
    assert len(result.regions) == regions
    assert result.error
    assert f"StorageError: no luck with the {kind}" in result.error
    assert "\n" not in result.error


def test_a_failed_region_leaves_the_others_finished(spec: ImageSpec, common: Common) -> None:
    result = enlarged(spec, common, "given/bicubic+back-projection", breaking("kernel", "background"))
    done, failed = result.regions
    assert done.upscaled and not done.error
    assert failed.kernel is None and failed.upscaled is None
    assert failed.error == result.error


def test_a_strict_driver_lets_the_fault_through(spec: ImageSpec, common: Common) -> None:
    with pytest.raises(StorageError, match="kernel"):
        walk.run(walk.enlarge(spec, parse("bicubic+zssr"), 0, common), breaking("kernel"), strict=True)


@pytest.fixture(scope="module")
def two_blurs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], ImageSpec]:
    """An image whose left half, the object, is blurred with variance 1.5, and the rest with another."""

    def make(background: float) -> ImageSpec:
        folder = write_two_blurs(tmp_path_factory.mktemp("two-blurs"), 1.5, background)
        return Dataset(str(folder)).plan(2)[0]

    return make


def test_regions_of_equal_blur_go_on_as_one(two_blurs: Callable[[float], ImageSpec], common: Common) -> None:
    """So `given/spectral` is `spectral`, to the last bit."""
    spec = two_blurs(1.5)
    several, single = (enlarged(spec, common, f"{s}spectral+back-projection") for s in ("given/", ""))
    assert several.segmentation and single.segmentation and several.composed and single.composed
    assert [part.region["name"] for part in several.regions] == ["whole"]
    assert several.composed == single.composed
    assert "2 regions" in several.notes[0]
    before = walk.run(walk.enlarge(spec, parse("given/bicubic+back-projection"), 0, common)).segmentation
    assert before and several.segmentation["seconds"] > before["seconds"]  # the test's time is counted too


def test_regions_of_different_blur_stay_apart(two_blurs: Callable[[float], ImageSpec], common: Common) -> None:
    result = enlarged(two_blurs(4.0), common, "given/spectral+back-projection")
    assert {part.region["name"] for part in result.regions} == {"object", "background"}
    assert result.notes == []
    assert result.composed
    assert min(psnr or 0 for psnr in result.composed["kernel_psnr"]) > 25


def test_a_failed_joining_fails_the_image_and_keeps_its_segmentation(
    two_blurs: Callable[[float], ImageSpec], common: Common
) -> None:
    result = enlarged(two_blurs(4.0), common, "given/spectral+back-projection", breaking("merge"))
    assert result.segmentation and len(result.segmentation["regions"]) == 2
    assert result.error and result.error.startswith("merge regions of im_1")
    assert result.regions == []


def test_what_was_replaced_is_noted_once(spec: ImageSpec, common: Common, monkeypatch: pytest.MonkeyPatch) -> None:
    from mkgan_core.estimators.spectral.estimator import Spectral

    def refuse(self: Spectral, *given: Any) -> None:
        raise KernelError("no kernel today")

    monkeypatch.setattr(Spectral, "estimate", refuse)
    result = enlarged(spec, common, "whole/spectral+back-projection")
    assert result.error is None
    assert [note.partition(";")[0] for note in result.notes] == ["no kernel today"]


def test_feathered_borders_have_a_key_of_their_own(tmp_path: Path, common: Common) -> None:
    """Regions are blended as far as their boxes overlap: the object's lies in the background's."""
    (spec,) = Dataset(str(write_two_blurs(tmp_path / "data", 1.5, 4.0, inside=True))).plan(2)
    method = parse("given/ground-truth+back-projection")
    hard, soft = (
        walk.run(walk.enlarge(spec, replace(method, feather=width), 0, common)).composed for width in (0.0, 3.0)
    )
    assert hard and soft
    assert hard["key"] != soft["key"]
    assert hard["psnr_y"] != soft["psnr_y"]
