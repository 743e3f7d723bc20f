"""A step of the walk described by value: small, picklable, no pixels.

`run` computes a job or finds it done: its record, a small JSON document, lies in the store under the job's key, written
after the files it names. The key is the file name, the resume rule, and (in `tasks`) the Prefect cache key.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from mkgan_core import environment
from mkgan_core.datasets import ImageSpec
from mkgan_core.storage import Store, content_key

Record = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One step for one image.

    Attributes:
        spec: the image.
        store: URI of the artifact store.
        preset: names the settings of every part.
        device: ``cpu`` or ``cuda``; not part of the key.
    """

    spec: ImageSpec
    store: str
    preset: str
    device: str

    step: ClassVar[str]

    def depends_on(self) -> Record:
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
    def label(self) -> str:
        """The step in words: `estimate kernel of im_13 object by kernelgan`."""
        raise NotImplementedError

    @property
    def record_name(self) -> str:
        return f"artifacts/{self.step}/{self.key[:2]}/{self.key}.json"

    def file_name(self, ending: str) -> str:
        return self.record_name.removesuffix(".json") + ending


def is_done(job: Job) -> bool:
    """Whether the job's record is in the store."""
    return Store(job.store).exists(job.record_name)


def run(job: Job) -> Record:
    """The job's record, computed unless it is in the store already."""
    store = Store(job.store)
    if store.exists(job.record_name):
        return store.read_json(job.record_name)
    with nullcontext() if job.batched else environment.computing():
        start = time.perf_counter()
        record = job.compute(store)
        record = {"key": job.key, "seconds": time.perf_counter() - start, **environment.usage(), **record}
    store.write_json(job.record_name, record)
    return record
