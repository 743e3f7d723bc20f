"""A step of the walk described by value: small, picklable, no pixels.

`run` computes a job or finds it done: its record, a small JSON document, is in the store under the job's key, written
after the files it names, and neither it nor they are damaged. The key is the file name, the resume rule, and (in
`tasks`, with the store's URI) the Prefect cache key.
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
    """The step in words, with ``{job...}`` for what differs between jobs."""
    trains: ClassVar[bool] = False
    """Whether the step may train networks, and so runs on a GPU where there is one."""

    def depends_on(self) -> dict[str, Any]:
        """Everything the result depends on."""
        raise NotImplementedError

    def compute(self, store: Store) -> Record:
        """Do the work; the files it names are written, the record is JSON."""
        raise NotImplementedError

    @property
    def batched(self) -> bool:
        """Whether the step shares its training with others, and so takes cores by itself."""
        return False

    @cached_property
    def key(self) -> str:
        return content_key({"step": self.step, **self.depends_on()})

    @property
    def subject(self) -> str:
        """What the step is about, in words."""
        return self.spec.image

    @property
    def label(self) -> str:
        """The step in words: `estimate kernel of im_13 object by kernelgan`."""
        return self.phrase.format(job=self)

    @property
    def record_name(self) -> str:
        return f"artifacts/{self.step}/{self.key[:2]}/{self.key}.json"

    def file_name(self, ending: str) -> str:
        """Where a file of the step belongs in the store, such as the kernel's ``.npy``."""
        return self.record_name.removesuffix(".json") + ending


@dataclass(frozen=True)
class RegionJob(Job[R]):
    """A step for one region of the image; it may train.

    Attributes:
        region: the region's entry in the segmentation's record.
        seed: source of chance.
    """

    region: RegionEntry
    seed: int

    trains = True

    @property
    @override
    def subject(self) -> str:  # an image in one piece needs no region
        return self.spec.image if self.region["mask"] is None else f"{self.spec.image} {self.region['name']}"


def find(job: Job[R]) -> R | None:
    """The job's record if the job is done: if that and the files it names are in the store, whole (`records.find`).

    Raises:
        StorageError: if the store cannot be read.
    """
    return cast("R | None", records.find(Store(job.store), job.record_name, job.key))


def run(job: Job[R]) -> R:
    """The job's record, computed unless it is done already; a job in work elsewhere is waited for."""
    store = Store(job.store)
    # not inside another job: who holds a core must not wait for one who waits for a core
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
