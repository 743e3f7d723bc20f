"""A step of the walk, described by its inputs: small, picklable, without pixels.

`run` computes a job unless it is done. A job is done if the store has its record, a small JSON document under the job's
key, and if the record and the files it names are undamaged; the record is written after its files. The key is also the
file name and (in `tasks`, with the store's URI) the Prefect cache key.
"""

from __future__ import annotations

import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Generic, TypeVar, cast

from typing_extensions import override

from mkgan_core.datasets.layout import ImageSpec
from mkgan_core.machine.cores import computing, holds_cores, usage
from mkgan_core.machine.progress import working
from mkgan_core.machine.storage import Store, content_key
from mkgan_core.pipeline import records
from mkgan_core.pipeline.records import Record, RegionEntry, StepRecord, sealed

log = logging.getLogger("mkgan_core")
R = TypeVar("R", bound=StepRecord)


@dataclass(frozen=True)
class Job(Generic[R]):
    """One step for one image.

    Attributes:
        spec: the image.
        store: URI of the artifact store.
        preset: names the settings of every part.
        device: ``auto``, ``cpu`` or ``cuda``; not part of the key.
    """

    spec: ImageSpec
    store: str
    preset: str
    device: str

    step: ClassVar[str]
    phrase: ClassVar[str]
    """Description of the step, with ``{job...}`` for the parts that differ between jobs."""
    trains: ClassVar[bool] = False
    """Whether the step may train networks, and so runs on a GPU if there is one."""

    def depends_on(self) -> dict[str, Any]:
        """Everything the result depends on."""
        raise NotImplementedError

    def compute(self, store: Store) -> Record:
        """Do the work and write its files; return the record, which must be JSON."""
        raise NotImplementedError

    @property
    def batched(self) -> bool:
        """Whether the step shares its training with others, and so reserves cores itself."""
        return False

    @cached_property
    def key(self) -> str:
        return content_key({"step": self.step, **self.depends_on()})

    @property
    def subject(self) -> str:
        """The image, or image and region, that the step works on."""
        return self.spec.image

    @property
    def label(self) -> str:
        """Description of the step: `estimate kernel of im_13 object by kernelgan`."""
        return self.phrase.format(job=self)

    @property
    def record_name(self) -> str:
        return f"artifacts/{self.step}/{self.key[:2]}/{self.key}.json"

    def file_name(self, ending: str) -> str:
        """The name in the store for a file of the step, such as the kernel's ``.npy``."""
        return self.record_name.removesuffix(".json") + ending


@dataclass(frozen=True)
class RegionJob(Job[R]):
    """A step for one region of the image; it may train.

    Attributes:
        region: the region's entry in the segmentation's record.
        seed: random seed.
    """

    region: RegionEntry
    seed: int

    trains = True

    @property
    @override
    def subject(self) -> str:  # an image in one piece needs no region
        return self.spec.image if self.region["mask"] is None else f"{self.spec.image} {self.region['name']}"


def find(job: Job[R]) -> R | None:
    """The job's record if the job is done: if the record and its files are in the store, undamaged (`records.find`).

    Raises:
        StorageError: if the store cannot be read.
    """
    return cast("R | None", records.find(Store(job.store), job.record_name, job.key))


def run(job: Job[R]) -> R:
    """The job's record; computes it unless it is done, and waits if another process is computing it."""
    store = Store(job.store)
    # no lock inside another job: a thread that holds a core must not wait for one that waits for a core
    with nullcontext() if holds_cores() else store.lock(f"{job.step}-{job.key}"):
        if found := find(job):
            return found
        return cast("R", _compute(job, store))


def _compute(job: Job[Any], store: Store) -> Record:
    with nullcontext() if job.batched else computing():
        start = time.perf_counter()
        with working(job.label):
            made = job.compute(store)
        record = sealed({"key": job.key, "label": job.label, "seconds": time.perf_counter() - start, **usage(), **made})
    store.write_json(job.record_name, record)
    remark = record.get("fallback") or record.get("note")
    log.info("%s: %.1f s%s", job.label, record["seconds"], f" ({remark})" if remark else "")
    return record
