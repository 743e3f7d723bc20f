"""The walk in plain Python: keys, resumption, fallbacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mkgan_core import kernels, pipeline
from mkgan_core.datasets import Dataset, ImageSpec
from mkgan_core.errors import KernelError, RegionError
from mkgan_core.estimators import KernelEstimate
from mkgan_core.estimators.kernelgan import KernelGan
from mkgan_core.jobs import run
from mkgan_core.pipeline import ComposeJob, KernelJob, SegmentJob, UpscaleJob, whole_region
from mkgan_core.storage import Store
from tests.plain_run import plain_run


@pytest.fixture
def spec(dataset_folder: Path) -> ImageSpec:
    return Dataset(str(dataset_folder)).plan(2)[0]


@pytest.fixture
def common(tmp_path: Path) -> dict[str, str]:
    return {"store": (tmp_path / "store").as_uri(), "preset": "fast", "device": "cpu"}


def walk(spec: ImageSpec, common: dict[str, str], segmenter: str, estimator: str | None, upscaler: str) -> dict:
    """One method on one image, the way the flow does it."""
    parts = []
    for region in run(SegmentJob(spec, **common, segmenter=segmenter))["regions"]:
        kernel = run(KernelJob(spec, **common, region=region, seed=0, estimator=estimator)) if estimator else None
        job = UpscaleJob(spec, **common, region=region, seed=0, upscaler=upscaler, estimator=estimator, kernel=kernel)
        parts.append((region, kernel, run(job)))
    return run(ComposeJob(spec, **common, method="m", parts=tuple(parts)))


def test_the_walk_scores_an_image(spec: ImageSpec, common: dict[str, str]) -> None:
    bicubic = walk(spec, common, "whole", None, "bicubic")
    truth = walk(spec, common, "given", "ground-truth", "back-projection")
    assert truth["psnr_y"] > bicubic["psnr_y"]
    assert bicubic["kernel_psnr"] == [None]
    assert len(truth["kernel_psnr"]) == 2
    assert min(truth["kernel_psnr"]) > 100
    assert Store(common["store"]).exists(truth["output_uri"])


def test_nothing_finished_is_done_again(
    spec: ImageSpec, common: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = walk(spec, common, "given", "bicubic", "back-projection")
    for job in (SegmentJob, KernelJob, UpscaleJob, ComposeJob):
        monkeypatch.setattr(job, "compute", lambda self, store: pytest.fail("computed again"))
    assert walk(spec, common, "given", "bicubic", "back-projection") == first


def test_methods_share_what_is_the_same(spec: ImageSpec, common: dict[str, str]) -> None:
    """The key names what a result depends on, and nothing else."""
    region = whole_region(spec)
    job = KernelJob(spec, **common, region=region, seed=0, estimator="kernelgan")
    assert job.key == replace(job, store="memory://elsewhere", device="cuda").key
    assert job.key != replace(job, seed=1).key
    assert job.key != replace(job, preset="paper").key
    assert job.key != replace(job, region={**region, "key": "other"}).key
    assert job.key != replace(job, spec=replace(spec, low=replace(spec.low, sha256="0"))).key
    fixed = replace(job, estimator="bicubic")
    assert fixed.key == replace(fixed, seed=1).key
    assert fixed.key == replace(fixed, preset="paper").key


def test_labels_read_as_a_sentence(spec: ImageSpec, common: dict[str, str]) -> None:
    region = {**whole_region(spec), "name": "object", "mask_uri": "mask.png"}
    assert SegmentJob(spec, **common, segmenter="fft-texture").label == "segment im_1 by fft-texture"
    assert (
        KernelJob(spec, **common, region=region, seed=0, estimator="kernelgan").label
        == "estimate kernel of im_1 object by kernelgan"
    )
    job = UpscaleJob(spec, **common, region=region, seed=0, upscaler="zssr", estimator="kernelgan", kernel=None)
    assert job.label == "enlarge im_1 object by kernelgan+zssr"


def _object(spec: ImageSpec, common: dict[str, str]) -> dict:
    return run(SegmentJob(spec, **common, segmenter="given"))["regions"][0]


def test_an_unhealthy_kernel_is_tried_with_another_seed(
    spec: ImageSpec, common: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = []

    def estimate(self: KernelGan, image: np.ndarray, region: object, scale: int, *, seed: int, **_: object):
        seeds.append(seed)
        good = kernels.gaussian(np.diag([2.0, 2.0]), 13, 2)
        return KernelEstimate(np.full((13, 13), 1 / 169) if len(seeds) == 1 else good)

    monkeypatch.setattr(KernelGan, "estimate", estimate)
    job = KernelJob(spec, **common, region=_object(spec, common), seed=3, estimator="kernelgan")
    record = run(job)
    assert record["attempts"] == 2
    assert record["fallback"] is None
    assert len(set(seeds)) == 2


def test_a_region_falls_back_to_the_whole_image_and_that_to_bicubic(
    spec: ImageSpec, common: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def estimate(self: KernelGan, image: np.ndarray, region: object, scale: int, **_: object):
        raise KernelError("did not converge")

    monkeypatch.setattr(KernelGan, "estimate", estimate)
    job = KernelJob(spec, **common, region=_object(spec, common), seed=0, estimator="kernelgan")
    record = run(job)
    assert "whole image's" in record["fallback"]
    whole = run(replace(job, region=whole_region(spec)))
    assert "took bicubic" in whole["fallback"]
    assert record["kernel_key"] == whole["kernel_key"]  # so that the enlargement is shared too
    loaded = pipeline.load_kernel(Store(common["store"]), record)
    assert np.allclose(loaded.kernel, kernels.bicubic(2))


def test_given_masks_must_be_there(spec: ImageSpec, common: dict[str, str]) -> None:
    with pytest.raises(RegionError, match="without masks"):
        run(SegmentJob(replace(spec, mask=None), **common, segmenter="given"))


def test_a_region_below_the_floor_joins_the_rest(spec: ImageSpec, common: dict[str, str], tmp_path: Path) -> None:
    from mkgan_core import images
    from mkgan_core.datasets import FileRef
    from mkgan_core.storage import sha256

    mask = np.zeros((192, 240), bool)
    mask[:20, :20] = True
    data = images.encode_png(mask)
    uri = Store(str(tmp_path)).write("mask.png", data)
    small = replace(spec, mask=FileRef(uri, sha256(data)))
    (region,) = run(SegmentJob(small, **common, segmenter="given"))["regions"]
    assert region == whole_region(spec)


def test_an_image_left_in_one_piece_says_why(spec: ImageSpec, common: dict[str, str]) -> None:
    record = run(SegmentJob(replace(spec, mask=None), **common, segmenter="fft-texture"))
    assert record["regions"] == [whole_region(spec)]
    assert record["note"].startswith("fft-texture found no object to split off")
    assert run(SegmentJob(spec, **common, segmenter="whole"))["note"] is None


def test_other_weights_make_another_segmentation(
    spec: ImageSpec, common: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKGAN_WEIGHTS", str(tmp_path))
    keys = set()
    for content in (b"one", b"another"):
        (tmp_path / "yolo.pt").write_bytes(content)
        keys.add(SegmentJob(spec, **common, segmenter="yolo").key)
    (tmp_path / "yolo.pt").rename(tmp_path / "yolo-renamed.pt")  # the content counts, not the name
    keys.add(SegmentJob(spec, **common, segmenter="yolo").key)
    assert len(keys) == 2


def test_a_benchmark_interrupted_anywhere_goes_on(
    dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at every single step in turn: nothing finished is computed again, and the report is the same."""

    from mkgan_core import image_properties, runs

    methods, computed = ["bicubic", "given/bicubic+back-projection"], []
    limit = 10**6
    kinds = (pipeline.SegmentJob, pipeline.KernelJob, pipeline.UpscaleJob, pipeline.ComposeJob)
    for kind in (*kinds, image_properties.DescribeJob):

        def counted(self, store, compute=kind.compute):
            if len(computed) == limit:
                raise KeyboardInterrupt
            computed.append(self.key)
            return compute(self, store)

        monkeypatch.setattr(kind, "compute", counted)
    whole = runs.open_run(plain_run(dataset_folder, str(tmp_path / "whole"), methods), "memory://unused")
    total = len(computed)
    for stop in range(total):
        store, limit = str(tmp_path / f"stopped-{stop}"), stop
        computed.clear()
        with pytest.raises(KeyboardInterrupt):
            plain_run(dataset_folder, store, methods)
        limit = 10**6
        again = runs.open_run(plain_run(dataset_folder, store, methods), "memory://unused")
        assert len(computed) == len(set(computed)) == total
        assert (again.rows["psnr_y"] == whole.rows["psnr_y"]).all()
