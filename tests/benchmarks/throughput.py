"""What Prefect takes for thousands of regions: tasks per second, memory of server and flow, size of the database.

.venv/bin/python -m tests.benchmarks.throughput [--regions 5000] [--training-s 0] [--postgres] [--json FILE]
The flow, the store and the server are real; training is a pause and enlarging repeats pixels.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from mkgan_core.datasets.file_names import image_files
from mkgan_core.imaging import images, kernels
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline.artifacts import load_region
from mkgan_core.pipeline.records import Record
from mkgan_core.pipeline.steps.enlarge import UpscaleJob
from mkgan_core.pipeline.steps.kernel import KernelJob
from tests.benchmarks import common
from tests.e2e import services

METHOD = "given/kernelgan+back-projection"
# Two regions an image: 1 split, 2 kernels, 2 enlargements, 1 score.
HIGH, SCALE = (128, 256), 2
SAMPLE_EVERY = 500  # finished steps
TABLES = 6


def data_set(folder: Path, count: int) -> str:
    """Images that differ in one pixel, with a mask of the left half; returns the folder's path."""
    store, blurs = Store(str(folder)), {SCALE: {"background": kernels.bicubic(SCALE)}}
    shade = np.linspace(0, 255, HIGH[1], dtype=np.uint8)[None, :, None].repeat(HIGH[0], 0).repeat(3, 2)
    mask = np.zeros(HIGH, bool)
    mask[:, : HIGH[1] // 2] = True
    for number in range(count):
        shade[0, 0] = number % 256, number // 256 % 256, 0
        high = shade / np.float32(255)
        for file, content in image_files(
            f"im_{number}", high, {SCALE: high[::SCALE, ::SCALE]}, blurs, {"object": mask}
        ):
            store.write(file, content)
    return str(folder)


def fake_training(pause_s: float) -> None:
    """Replace what computes; everything around it stays."""

    def kernel(self: KernelJob, store: Store) -> Record:
        time.sleep(pause_s)
        made = self._save(store, Kernel(kernels.bicubic(SCALE)))
        return {"device": "cpu", "fallback": None, "attempts": 1, **made}

    def upscale(self: UpscaleJob, store: Store) -> Record:
        top, left, bottom, right = load_region(store, self.spec, self.region).box
        grey = np.full((SCALE * (bottom - top), SCALE * (right - left), 3), 0.5, np.float32)
        return {"device": "cpu", "output": store.put(self.file_name(".png"), images.encode_png(grey))}

    KernelJob.compute, UpscaleJob.compute = kernel, upscale  # pyright: ignore[reportAttributeAccessIssue]


class Meter:
    """Samples of time, memory and database while the steps finish."""

    def __init__(self, server: psutil.Process, database: Any) -> None:
        self.server, self.flow, self.database = server, psutil.Process(), database
        self.start, self.done, self.rows = time.perf_counter(), 0, []

    def __call__(self, standing: Any) -> None:
        if standing.steps > self.done and standing.steps % SAMPLE_EVERY == 0:
            self.sample(standing.steps)
        self.done = standing.steps

    def sample(self, done: int) -> None:
        self.rows.append(
            {
                "steps": done,
                "seconds": round(time.perf_counter() - self.start, 1),
                "flow_mb": round(self.flow.memory_info().rss / 1e6),
                "server_mb": round(sum(p.memory_info().rss for p in self._servers()) / 1e6),
                "database_mb": round(self.database.size() / 1e6, 1),
            }
        )
        print(
            "{steps:6d} steps {seconds:7.1f} s  flow {flow_mb:5d} MB  server {server_mb:5d} MB  "
            "database {database_mb:6.1f} MB".format(**self.rows[-1]),
            flush=True,
        )

    def _servers(self) -> list[psutil.Process]:
        return [self.server, *self.server.children(recursive=True)]


class Sqlite:
    def __init__(self, home: Path) -> None:
        self.home = home

    def size(self) -> int:
        return sum(file.stat().st_size for file in self.home.glob("prefect.db*"))

    def rows(self) -> dict[str, int]:
        with sqlite3.connect(self.home / "prefect.db") as database:
            names = [row[0] for row in database.execute("select name from sqlite_master where type = 'table'")]
            return {name: database.execute(f"select count(*) from {name}").fetchone()[0] for name in names}


class Postgres:
    def __init__(self, url: str) -> None:
        self.url = url.replace("+asyncpg", "")

    def _ask(self, query: str) -> list[Any]:
        import asyncpg

        async def ask() -> list[Any]:
            connection = await asyncpg.connect(self.url)
            try:
                return await connection.fetch(query)
            finally:
                await connection.close()

        return asyncio.run(ask())

    def size(self) -> int:
        return self._ask("select pg_database_size(current_database())")[0][0]

    def rows(self) -> dict[str, int]:
        tables = self._ask("select tablename from pg_tables where schemaname = 'public'")
        return {t[0]: self._ask(f"select count(*) from {t[0]}")[0][0] for t in tables}


@contextmanager
def server(home: Path, postgres: bool) -> Iterator[tuple[psutil.Process, Any]]:
    """A Prefect server, configured for this process; its process and its database."""
    with services.postgres() if postgres else nullcontext() as url:
        before = psutil.Process().children()
        with common.prefect(home, url):
            process = next(child for child in psutil.Process().children() if child not in before)
            yield process, Postgres(url) if url else Sqlite(home)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--regions", type=int, default=5000)
    parser.add_argument("--training-s", type=float, default=0, help="seconds that a training takes")
    parser.add_argument("--postgres", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = data_set(folder / "set", options.regions // 2)
        with server(folder / "prefect", options.postgres) as (process, database):
            measure(options, dataset, folder / "store", process, database)


def measure(options: argparse.Namespace, dataset: str, store: Path, process: psutil.Process, database: Any) -> None:
    from flows.benchmark import benchmark  # imports Prefect, now that its address is known
    from flows.config import BenchmarkConfig
    from flows.progress import on_progress

    fake_training(options.training_s)
    config = BenchmarkConfig.model_validate({"dataset": dataset, "methods": [METHOD], "store": str(store)})
    meter = Meter(process, database)
    meter.sample(0)
    on_progress.set(meter)
    start = time.perf_counter()
    state = benchmark(config, return_state=True)
    total = time.perf_counter() - start
    print(state.message)
    print(f"whole run {total:.0f} s, {meter.done / total:.1f} steps/s")
    while database.rows()["task_run"] < meter.done:  # they are made of events, a moment later
        time.sleep(1)
    print(f"the server had all task runs {time.perf_counter() - start - total:.0f} s later")
    gc.collect()
    meter.sample(meter.done)
    counts = dict(sorted(database.rows().items(), key=lambda item: -item[1])[:TABLES])
    print("rows: " + ", ".join(f"{name} {count}" for name, count in counts.items()))
    content = {"samples": meter.rows, "total_s": total, "rows": counts, "training_s": options.training_s}
    common.save(options.json, f"throughput, {type(database).__name__}, {options.regions} regions", content)


if __name__ == "__main__":
    main()
