"""The steps one by one: keys, resumption, fallbacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mkgan_core.datasets.layout import FileRef, ImageSpec
from mkgan_core.errors import KernelError, RegionError
from mkgan_core.estimators.base import Context
from mkgan_core.estimators.kernelgan.estimator import KernelGan
from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.storage import Store, sha256
from mkgan_core.pipeline.artifacts import load_kernel, whole_region
from mkgan_core.pipeline.jobs import run
from mkgan_core.pipeline.records import RegionEntry
from mkgan_core.pipeline.steps.describe import DescribeJob
from mkgan_core.pipeline.steps.enlarge import UpscaleJob
from mkgan_core.pipeline.steps.kernel import SEED_STRIDE, KernelJob
from mkgan_core.pipeline.steps.score import ComposeJob
from mkgan_core.pipeline.steps.segment import SegmentJob
from mkgan_core.pipeline.walk import Common
from mkgan_core.reports import runs
from tests.drive import benchmark


def test_methods_share_what_is_the_same(spec: ImageSpec, common: Common) -> None:
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


def test_labels_read_as_a_sentence(spec: ImageSpec, common: Common) -> None:
    region = {**whole_region(spec), "name": "object", "mask": {"name": "mask.png", "size": 1, "sha256": "0"}}
    assert SegmentJob(spec, **common, segmenter="fft-texture").label == "segment im_1 by fft-texture"
    assert (
        KernelJob(spec, **common, region=region, seed=0, estimator="kernelgan").label
        == "estimate kernel of im_1 object by kernelgan"
    )
    job = UpscaleJob(spec, **common, region=region, seed=0, upscaler="zssr", estimator="kernelgan", kernel=None)
    assert job.label == "enlarge im_1 object by kernelgan+zssr"


def _object(spec: ImageSpec, common: Common) -> RegionEntry:
    return run(SegmentJob(spec, **common, segmenter="given"))["regions"][0]


def test_an_unhealthy_kernel_is_tried_with_another_seed(
    spec: ImageSpec, common: Common, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = []

    def estimate(self: KernelGan, image: np.ndarray, region: object, scale: int, context: Context) -> Kernel:
        seeds.append(context.seed)
        context.batch_seconds = 2.0
        if len(seeds) == 1:
            return Kernel(np.full((13, 13), 1 / 169))  # too much of it is on the border
        return Kernel(kernels.gaussian(np.diag([2.0, 2.0]), 13, 2))

    monkeypatch.setattr(KernelGan, "estimate", estimate)
    job = KernelJob(spec, **common, region=_object(spec, common), seed=3, estimator="kernelgan")
    record = run(job)
    assert seeds == [3, 3 + SEED_STRIDE]
    assert record["attempts"] == 2
    assert record["fallback"] is None
    assert record["seconds"] == 4.0


def test_the_error_of_a_kernel_is_kept_and_makes_another_enlargement(
    spec: ImageSpec, common: Common, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the region takes the kernel of the whole image."""
    error = 1.0

    def estimate(self: KernelGan, image: np.ndarray, region: Region, scale: int, context: Context) -> Kernel:
        if not region.is_whole:
            raise KernelError("no kernel", "advice that nobody needs")
        return Kernel(kernels.gaussian(np.diag([2.0, 2.0]), 13, 2), model_error=error)

    monkeypatch.setattr(KernelGan, "estimate", estimate)
    job = KernelJob(spec, **common, region=_object(spec, common), seed=0, estimator="kernelgan")
    exact = run(job)
    error = 4.0
    inexact = run(replace(job, seed=1))
    assert inexact["kernel"]["sha256"] == exact["kernel"]["sha256"]
    assert inexact["kernel_key"] != exact["kernel_key"]
    assert [load_kernel(Store(common["store"]), record).model_error for record in (exact, inexact)] == [1, 4]


def test_a_region_falls_back_to_the_whole_image_and_that_to_bicubic(
    spec: ImageSpec, common: Common, monkeypatch: pytest.MonkeyPatch
) -> None:
    def estimate(self: KernelGan, image: np.ndarray, region: Region, scale: int, context: Context) -> Kernel:
        raise KernelError(f"no kernel for {region.name}", "advice that nobody needs")

    monkeypatch.setattr(KernelGan, "estimate", estimate)
    job = KernelJob(spec, **common, region=_object(spec, common), seed=0, estimator="kernelgan")
    record = run(job)
    whole = run(replace(job, region=whole_region(spec)))
    assert record["attempts"] == whole["attempts"] == 2
    for found, region in ((record, "object"), (whole, "whole")):
        assert found["fallback"].startswith(f"no kernel for {region};")
        assert "advice" not in found["fallback"]
    assert record["kernel_key"] == whole["kernel_key"]  # so that the enlargement is shared too
    loaded = load_kernel(Store(common["store"]), record)
    assert np.allclose(loaded.array, kernels.bicubic(2))
    assert loaded.note == record["fallback"]


def test_given_masks_must_be_there(spec: ImageSpec, common: Common) -> None:
    with pytest.raises(RegionError, match="im_1"):
        run(SegmentJob(replace(spec, mask=None), **common, segmenter="given"))


def test_keys_and_regions_of_several_objects(spec: ImageSpec, common: Common, tmp_path: Path) -> None:
    """One object keeps the keys of earlier versions; several are all in the keys, and all are regions."""
    assert spec.mask
    single = SegmentJob(spec, **common, segmenter="given"), DescribeJob(spec, **common)
    assert single[0].depends_on()["masks"] == spec.mask.sha256
    assert set(single[1].depends_on()["files"]) == {"low", "mask", "background"}
    second = np.zeros((192, 240), bool)
    second[:, 100:] = True  # the first 20 columns are in the first mask, too
    data = images.encode_png(second)
    reference = FileRef(Store(str(tmp_path)).write("mask.png", data), sha256(data))
    several = replace(spec, more_masks={"object-2": reference})
    altered = replace(spec, more_masks={"object-2": replace(reference, sha256="0")})
    for job in single:
        assert len({job.key, replace(job, spec=several).key, replace(job, spec=altered).key}) == 3
    regions = run(replace(single[0], spec=several))["regions"]
    assert [region["name"] for region in regions] == ["object", "object-2"]
    assert [region["area_px"] for region in regions] == [96 * 60, 96 * 60]
    assert run(replace(single[1], spec=several))["object_share"] == 1.0


def test_a_region_below_the_floor_joins_the_rest(spec: ImageSpec, common: Common, tmp_path: Path) -> None:
    mask = np.zeros((192, 240), bool)
    mask[:20, :20] = True
    data = images.encode_png(mask)
    uri = Store(str(tmp_path)).write("mask.png", data)
    small = replace(spec, mask=FileRef(uri, sha256(data)))
    (region,) = run(SegmentJob(small, **common, segmenter="given"))["regions"]
    assert region == whole_region(spec)


def test_an_image_left_in_one_piece_says_why(spec: ImageSpec, common: Common) -> None:
    record = run(SegmentJob(replace(spec, mask=None), **common, segmenter="fft-texture"))
    assert record["regions"] == [whole_region(spec)]
    assert "fft-texture" in record["note"]
    assert run(SegmentJob(spec, **common, segmenter="whole"))["note"] is None


def test_other_weights_make_another_segmentation(
    spec: ImageSpec, common: Common, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKGAN_WEIGHTS", str(tmp_path))
    keys = set()
    for content in (b"one", b"another"):
        (tmp_path / "yolo.onnx").write_bytes(content)
        keys.add(SegmentJob(spec, **common, segmenter="yolo").key)
    (tmp_path / "yolo.onnx").rename(tmp_path / "yolo-renamed.onnx")  # the content counts, not the name
    keys.add(SegmentJob(spec, **common, segmenter="yolo").key)
    assert len(keys) == 2


def test_a_benchmark_interrupted_anywhere_goes_on(
    dataset_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped at every single step in turn: nothing finished is computed again, and the report is the same."""
    methods, computed = ["bicubic", "given/bicubic+back-projection"], []
    limit = 10**6
    kinds = (SegmentJob, KernelJob, UpscaleJob, ComposeJob)
    for kind in (*kinds, DescribeJob):

        def counted(self, store, compute=kind.compute):
            if len(computed) == limit:
                raise KeyboardInterrupt
            computed.append(self.key)
            return compute(self, store)

        monkeypatch.setattr(kind, "compute", counted)
    whole = runs.open_run(benchmark(dataset_folder, str(tmp_path / "whole"), methods), "memory://unused")
    total = len(computed)
    for stop in range(total):
        store, limit = str(tmp_path / f"stopped-{stop}"), stop
        computed.clear()
        with pytest.raises(KeyboardInterrupt):
            benchmark(dataset_folder, store, methods)
        limit = 10**6
        again = runs.open_run(benchmark(dataset_folder, store, methods), "memory://unused")
        assert len(computed) == len(set(computed)) == total
        assert (again.rows["psnr_y"] == whole.rows["psnr_y"]).all()
