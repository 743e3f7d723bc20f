"""The walk of one image: segment, estimate, upscale, compose and score, each step an artifact with a key.

`jobs` says what a job is and how it is run; this module holds the jobs.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from mkgan_core import compose, datasets, environment, images, kernels, method, metrics, regions, segmenters
from mkgan_core.datasets import ImageSpec
from mkgan_core.errors import KernelError, RegionError
from mkgan_core.estimators import KernelEstimate
from mkgan_core.jobs import Job, Record, run
from mkgan_core.regions import Region
from mkgan_core.storage import Store, content_key, sha256

ATTEMPTS = 2  # seeds tried for a kernel before falling back
SEED_STRIDE = 1000  # a retry's seed must not be another run's seed


@dataclass(frozen=True)
class SegmentJob(Job):
    """Split the image into regions.

    Record: ``regions``, each with name, key, mask_uri, area_px; ``note``, why an image stayed in one piece.
    """

    segmenter: str

    step: ClassVar[str] = "segment"

    @property
    def label(self) -> str:
        return f"segment {self.spec.image} by {self.segmenter}"

    def depends_on(self) -> Record:
        part = method.identity("segmenter", self.segmenter, self.preset)
        given = self.spec.mask.sha256 if self.spec.mask and self._needs_masks else None
        rules = dataclasses.asdict(method.part_class("segmenter", self.segmenter).rules)
        return {
            "image": self.spec.low.sha256,
            "segmenter": part,
            "rules": {"version": regions.RULES_VERSION, **rules},
            "masks": given,
            "scale": self.spec.scale,
        }

    @property
    def _needs_masks(self) -> bool:
        return method.part_class("segmenter", self.segmenter).needs_masks

    def compute(self, store: Store) -> Record:
        image = datasets.load_low(self.spec)
        given = datasets.given_masks(self.spec) if self._needs_masks else {}
        if self._needs_masks and not given:
            raise RegionError(f"image {self.spec.image} comes without masks; use another segmenter than 'given'")
        part = method.build("segmenter", self.segmenter, self.preset)
        device = environment.torch_device(self.device) if part.weights else "cpu"
        found = segmenters.segment(part, self.segmenter, image, given, device=device)
        saved = [save_region(store, self.spec, region, self) for region in found.regions]
        return {"regions": saved, "note": found.note}


@dataclass(frozen=True)
class RegionJob(Job):
    """A step for one region of the image.

    Attributes:
        region: the region's entry in the segmentation's record.
        seed: source of chance.
    """

    region: Record
    seed: int

    @property
    def subject(self) -> str:
        """What the step is about, in words; an image in one piece needs no region."""
        return self.spec.image if self.region["mask_uri"] is None else f"{self.spec.image} {self.region['name']}"


@dataclass(frozen=True)
class KernelJob(RegionJob):
    """Estimate a region's kernel; record: kernel_uri, half_uri, kernel_key, attempts, fallback, fallback_why."""

    estimator: str

    step: ClassVar[str] = "kernel"

    @property
    def label(self) -> str:
        return f"estimate kernel of {self.subject} by {self.estimator}"

    @property
    def batched(self) -> bool:
        return method.part_class("estimator", self.estimator).batched

    def depends_on(self) -> Record:
        part_class = method.part_class("estimator", self.estimator)
        truth = {name: ref.sha256 for name, ref in self.spec.truth.items()} if part_class.needs_truth else None
        return {
            "image": self.spec.low.sha256,
            "mask": self.region["key"],
            "estimator": method.identity("estimator", self.estimator, self.preset),
            "seed": self.seed if part_class.seeded else None,
            "scale": self.spec.scale,
            "truth": truth,
        }

    def compute(self, store: Store) -> Record:
        region = load_region(store, self.spec, self.region)
        image = datasets.load_low(self.spec)
        part = method.build("estimator", self.estimator, self.preset)
        device = environment.torch_device(self.device)
        if not part.batched:
            environment.prepare_torch()
        truth = datasets.true_kernel(self.spec, region) if part.needs_truth else None
        record: Record = {"device": device, "fallback": None}
        if part.batched:
            record["seconds"] = 0.0  # its shares of batches, without the time it waited for others
        why = None
        for attempt in range(ATTEMPTS if part.seeded else 1):
            record["attempts"] = attempt + 1
            seed = self.seed + attempt * SEED_STRIDE
            try:
                estimate = part.estimate(image, region, self.spec.scale, seed=seed, truth=truth, device=device)
            except KernelError as fault:
                estimate, why, seconds = None, str(fault), fault.seconds
            else:
                why, seconds = kernels.fault(estimate.kernel, self.spec.scale), estimate.seconds
            if part.batched:
                record["seconds"] += seconds
            if estimate is not None and why is None:
                return {**record, **self._save(store, estimate)}
        if self.region["mask_uri"] is not None:
            whole = run(replace(self, region=whole_region(self.spec)))
            shared = {name: whole[name] for name in ("kernel_key", "kernel_uri", "half_uri")}
            return {**record, "fallback": f"kernel {why}; took the whole image's", **shared}
        bicubic = method.build("estimator", "bicubic", self.preset)
        estimate = bicubic.estimate(image, region, self.spec.scale, seed=self.seed, truth=None, device=device)
        return {**record, "fallback": f"kernel {why}; took bicubic", **self._save(store, estimate)}

    def _save(self, store: Store, estimate: KernelEstimate) -> Record:
        kernel = kernels.encode_npy(estimate.kernel)
        half = None if estimate.half is None else kernels.encode_npy(estimate.half)
        return {
            # of the content: estimators that agree share the enlargement
            "kernel_key": content_key({"kernel": sha256(kernel), "half": half and sha256(half)}),
            "kernel_uri": store.write(self.file_name(".npy"), kernel),
            "half_uri": half and store.write(self.file_name("-half.npy"), half),
        }


@dataclass(frozen=True)
class UpscaleJob(RegionJob):
    """Enlarge a region's bounding box; record: output_uri.

    Attributes:
        upscaler: its name.
        estimator: where the kernel comes from, for the label.
        kernel: the kernel job's record, None where the upscaler uses none.
    """

    upscaler: str
    estimator: str | None
    kernel: Record | None

    step: ClassVar[str] = "upscale"

    @property
    def label(self) -> str:
        how = f"{self.estimator}+{self.upscaler}" if self.estimator else self.upscaler
        return f"enlarge {self.subject} by {how}"

    def depends_on(self) -> Record:
        return {
            "image": self.spec.low.sha256,
            "mask": self.region["key"],
            "upscaler": method.identity("upscaler", self.upscaler, self.preset),
            "seed": self.seed if method.part_class("upscaler", self.upscaler).seeded else None,
            "scale": self.spec.scale,
            "kernel": self.kernel["kernel_key"] if self.kernel else None,
        }

    def compute(self, store: Store) -> Record:
        device = environment.torch_device(self.device)
        environment.prepare_torch()
        part = method.build("upscaler", self.upscaler, self.preset)
        estimate = load_kernel(store, self.kernel) if self.kernel else None
        enlarged = part.upscale(
            datasets.load_low(self.spec),
            load_region(store, self.spec, self.region),
            estimate,
            self.spec.scale,
            seed=self.seed,
            device=device,
        )
        return {"device": device, "output_uri": store.write(self.file_name(".png"), images.encode_png(enlarged))}


@dataclass(frozen=True)
class ComposeJob(Job):
    """Put an image's regions together and score it.

    Record: output_uri, the scores of `metrics.scores` (absent without ground truth), ``kernel_psnr`` per region.

    Attributes:
        method: the method's name, for the label.
        parts: (region, kernel record or None, upscale record) of each region.
    """

    method: str
    parts: tuple[tuple[Record, Record | None, Record], ...]

    step: ClassVar[str] = "compose"
    version: ClassVar[int] = 2

    @property
    def label(self) -> str:
        return f"score {self.spec.image} by {self.method}"

    def depends_on(self) -> Record:
        return {
            "version": self.version,
            "parts": [[region["key"], up["key"]] for region, _, up in self.parts],
            "kernels": [kernel["kernel_key"] if kernel else None for _, kernel, _ in self.parts],
            "truth": self.spec.high.sha256 if self.spec.high else None,
            "true_kernels": {name: ref.sha256 for name, ref in self.spec.truth.items()},
            "scale": self.spec.scale,
        }

    def compute(self, store: Store) -> Record:
        loaded, psnrs = [], []
        for entry, kernel, upscaled in self.parts:
            region = load_region(store, self.spec, entry)
            loaded.append((region, images.decode(store.read(upscaled["output_uri"]), upscaled["output_uri"])))
            truth = datasets.true_kernel(self.spec, region) if kernel else None
            estimate = load_kernel(store, kernel) if kernel and truth else None
            psnrs.append(
                kernels.kernel_psnr(estimate.kernel, truth.kernel, self.spec.scale) if estimate and truth else None
            )
        image = compose.compose(loaded, self.spec.scale)
        record: Record = {"kernel_psnr": psnrs}
        if self.spec.high is not None:
            truth_image = datasets.load_high(self.spec)
            image = image[: truth_image.shape[0], : truth_image.shape[1]]
            record |= metrics.scores(image, truth_image, self.spec.scale)
        return {"output_uri": store.write(self.file_name(".png"), images.encode_png(image)), **_json_safe(record)}


def whole_region(spec: ImageSpec) -> Record:
    """The entry of the region that is the whole image; it needs no mask file."""
    return {"name": "whole", "key": "whole", "mask_uri": None, "area_px": spec.shape[0] * spec.shape[1]}


def load_region(store: Store, spec: ImageSpec, entry: Record) -> Region:
    """The region of an entry in a segmentation's record."""
    if entry["mask_uri"] is None:
        return regions.whole(spec.shape)
    return Region(entry["name"], images.decode_mask(store.read(entry["mask_uri"]), entry["mask_uri"]))


def load_kernel(store: Store, record: Record) -> KernelEstimate:
    """The kernel of a `KernelJob`'s record."""
    half = record["half_uri"]
    return KernelEstimate(
        kernels.decode(store.read(record["kernel_uri"]), record["kernel_uri"]),
        kernels.decode(store.read(half), half) if half else None,
    )


def save_region(store: Store, spec: ImageSpec, region: Region, job: Job) -> Record:
    """Write a region's mask; returns its entry in a segmentation's record."""
    if region.is_whole:
        return whole_region(spec)
    data = images.encode_png(region.mask)
    return {
        "name": region.name,
        "key": content_key({"mask": np.packbits(region.mask).tobytes().hex()}),
        "mask_uri": store.write(job.file_name(f"-{region.name}.png"), data),
        "area_px": region.area,
    }


def _json_safe(record: Record) -> Record:
    """Infinite scores (identical images) as None: JSON and the UI know no infinity."""
    return {name: None if isinstance(v, float) and not np.isfinite(v) else v for name, v in record.items()}
