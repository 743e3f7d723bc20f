"""Step `kernel`: estimate a region's kernel; if it is unusable, use another one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from typing_extensions import override

from mkgan_core.datasets.layout import load_low
from mkgan_core.datasets.true_kernels import true_kernel
from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context, Estimator
from mkgan_core.imaging import kernel_files, kernels
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.machine.cores import prepare_torch, torch_device
from mkgan_core.machine.storage import Store, content_key, sha256
from mkgan_core.pipeline import parts
from mkgan_core.pipeline.artifacts import load_region, whole_region
from mkgan_core.pipeline.jobs import RegionJob, run
from mkgan_core.pipeline.records import KernelRecord, Record, RegionEntry

ATTEMPTS = 2  # seeds to try for a kernel before the fallback
SEED_STRIDE = 1000  # distance to a retry's seed, so that it is not another run's seed


@dataclass(frozen=True)
class KernelJob(RegionJob[KernelRecord]):
    """Estimate a region's kernel.

    If the kernel is unusable, the estimator tries another seed once, if it uses seeds. If that fails too, the whole
    image's kernel is used, and if that is unusable, the bicubic kernel.

    Attributes:
        estimator: its name.
        regions: all regions of the image, for an estimator that compares them; empty if there is only one.
    """

    estimator: str
    regions: tuple[RegionEntry, ...] = ()

    step: ClassVar[str] = "kernel"
    phrase: ClassVar[str] = "estimate kernel of {job.subject} by {job.estimator}"

    @property
    @override
    def batched(self) -> bool:
        return parts.part_class("estimator", self.estimator).batched

    @override
    def depends_on(self) -> dict[str, Any]:
        part = parts.part_class("estimator", self.estimator)
        truth = {name: ref.sha256 for name, ref in self.spec.truth.items()} if part.needs_truth else None
        return {
            "image": self.spec.low.sha256,
            "mask": self.region["key"],
            "estimator": parts.identity("estimator", self.estimator, self.preset),
            "seed": self.seed if part.seeded else None,
            "scale": self.spec.scale,
            "truth": truth,
            **({"regions": [entry["key"] for entry in self.regions]} if self.regions else {}),
        }

    @override
    def compute(self, store: Store) -> Record:
        part = parts.build("estimator", self.estimator, self.preset)
        device = torch_device(self.device)
        kernel, why, record = self._estimate(store, part, device)
        if kernel is not None:
            return {**record, "fallback": None, "why": kernel.why, **self._save(store, kernel)}
        if self.region["mask"] is not None:
            whole = run(replace(self, region=whole_region(self.spec), regions=()))
            shared: Record = {name: whole[name] for name in ("kernel_key", "kernel", "half")}
            if "model_error" in whole:
                shared["model_error"] = whole["model_error"]
            return {**record, "fallback": f"{why}; took the whole image's kernel", **shared}
        bicubic = parts.build("estimator", "bicubic", self.preset)
        kernel = bicubic.estimate(
            load_low(self.spec), load_region(store, self.spec, self.region), self.spec.scale, Context()
        )
        return {**record, "fallback": f"{why}; took the bicubic kernel", **self._save(store, kernel)}

    def _estimate(self, store: Store, part: Estimator[Any], device: str) -> tuple[Kernel | None, str | None, Record]:
        """The kernel; or None and the reason; and the part of the record about the attempts."""
        image, region = load_low(self.spec), load_region(store, self.spec, self.region)
        if not part.batched:
            prepare_torch()
        truth = true_kernel(self.spec, region) if part.needs_truth else None
        regions = [load_region(store, self.spec, entry) for entry in self.regions]
        record: Record = {"device": device}
        if part.batched:
            record["seconds"] = 0.0  # its share of batches, without the time spent waiting
        why = None
        for attempt in range(ATTEMPTS if part.seeded else 1):
            record["attempts"] = attempt + 1
            context = Context(self.seed + attempt * SEED_STRIDE, device, truth, regions)
            try:
                kernel = part.estimate(image, region, self.spec.scale, context)
            except KernelError as fault:
                kernel, why = None, fault.fault
            else:
                why = kernels.fault(kernel.array, self.spec.scale)
            if part.batched:
                record["seconds"] += context.batch_seconds
            if kernel is not None and why is None:
                return kernel, None, record
        return None, why, record

    def _save(self, store: Store, kernel: Kernel) -> Record:
        data = kernel_files.encode_npy(kernel.array)
        half = None if kernel.half is None else kernel_files.encode_npy(kernel.half)
        # no entry for 1, the usual value: keeps the keys of earlier versions
        error: Record = {} if kernel.model_error == 1 else {"model_error": kernel.model_error}
        return {
            # of the content, so that estimators with the same kernel share the enlargement
            "kernel_key": content_key({"kernel": sha256(data), "half": half and sha256(half), **error}),
            "kernel": store.put(self.file_name(".npy"), data),
            "half": half and store.put(self.file_name("-half.npy"), half),
            **error,
        }
