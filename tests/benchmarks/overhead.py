"""What Prefect adds to a run: the same walks, with the same threads, as Prefect tasks and as plain function calls.

.venv/bin/python -m tests.benchmarks.overhead [--dataset sample] [--method NAME]... [--json FILE]
Four runs: without and with Prefect, each on an empty store and again on the full one. With the default methods, which
train, ten minutes on two cores. The server is up and Prefect is imported before the clock starts. Without Prefect a
walk keeps its thread, so the regions of an image come one after the other; different walks run side by side.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import jobs, walk
from tests.benchmarks import common

if TYPE_CHECKING:
    from flows.config import BenchmarkConfig


class SharedSteps:
    """Runs the jobs of walks in several threads: one that several walks want is computed once, the others wait for it.

    Attributes:
        records: of the steps so far, by the job's key.
    """

    def __init__(self) -> None:
        self.records: dict[str, Any] = {}
        self._locks: dict[str, threading.Lock] = {}

    def __call__(self, job: jobs.Job[Any]) -> Any:
        with self._locks.setdefault(job.key, threading.Lock()):
            if job.key not in self.records:
                self.records[job.key] = jobs.run(job)
            return self.records[job.key]


def plain(config: BenchmarkConfig) -> int:
    """The walks of the flow without tasks and without its report; returns the number of steps."""
    from flows import runners
    from flows.benchmark import plan

    specs, methods = plan(config)
    same: walk.Common = {"store": Store(config.store).uri, "preset": config.preset, "device": config.device}
    seeds = range(config.seed, config.seed + config.seeds)
    walks = [walk.enlarge(spec, method, seed, same) for spec in specs for method in methods for seed in seeds]
    steps = SharedSteps()
    with ThreadPoolExecutor(runners.THREADS) as pool:
        list(pool.map(lambda one: walk.run(one, steps, strict=True), walks))
    return len(steps.records)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--dataset", default="sample")
    parser.add_argument("--method", action="append")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, common.prefect(Path(name) / "prefect"):
        common.save(options.json, "overhead", measure(options, Path(name)))


def own_seconds(store: Path) -> float:
    """Sum over the steps' records, several of which run at a time."""
    return sum(json.loads(path.read_text())["seconds"] for path in store.glob("artifacts/*/*/*.json"))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """The figures, which it prints: seconds unless their name says otherwise."""
    from flows.benchmark import benchmark  # imports Prefect, now that its address is known
    from flows.config import BenchmarkConfig
    from flows.progress import on_progress

    def config(store: str, dataset: str, methods: list[str] | None, **more: Any) -> BenchmarkConfig:
        chosen = {"methods": methods} if methods else {}
        store = (folder / store).as_uri()
        return BenchmarkConfig.model_validate({"dataset": dataset, "store": store, **chosen, **more})

    # loads what is loaded once per process, and gives Prefect's first run to another
    benchmark(config("warm", "sample", ["bicubic"], limit=1))
    last = [0.0]  # when the last step was done: what follows, the report, is no overhead

    def note(_: object) -> None:
        last[0] = time.perf_counter()

    on_progress.set(note)
    found: dict[str, float] = {}
    for name in ("computed", "cached"):
        start = time.perf_counter()
        found["steps"] = plain(config("plain", options.dataset, options.method))
        middle = time.perf_counter()
        state = benchmark(config("prefect", options.dataset, options.method), return_state=True)
        assert state.is_completed()
        found |= {f"{name}, plain, s": middle - start, f"{name}, Prefect, s": last[0] - middle}
        extra = (last[0] - middle) - (middle - start)
        if name == "computed":  # what the steps say they took: trainings differ, and a busy processor slows all
            found |= {f"steps' own, {store}, s": own_seconds(folder / store) for store in ("plain", "prefect")}
        found[f"{name}, per step, ms"] = 1000 * extra / found["steps"]
    found["share, %"] = 100 * (found["cached, Prefect, s"] - found["cached, plain, s"]) / found["computed, Prefect, s"]
    for key, value in found.items():
        print(f"{key}: {value:.1f}", flush=True)
    return found


if __name__ == "__main__":
    main()
