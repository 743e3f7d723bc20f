"""What Prefect adds to a run: the same walk, with the same threads, as Prefect tasks and as plain function calls.

.venv/bin/python -m tests.benchmarks.overhead [--dataset sample] [--method NAME]... [--json FILE]
Four runs: without and with Prefect, each on an empty store and again on the full one. With the default methods, which
train, ten minutes on two cores. The server is up and Prefect is imported before the clock starts.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from mkgan_core.pipeline import jobs
from tests.benchmarks import common
from tests.e2e import services


class Done:
    """A future of the thread pool that looks like one of Prefect's."""

    def __init__(self, future: Future[Any]) -> None:
        self.result, self.add_done_callback = future.result, future.add_done_callback
        self.state = SimpleNamespace(name="Completed")


def plain(config: Any) -> int:
    """The walk of the flow without tasks and without its report; returns the number of steps."""
    from flows import fanout, runners
    from flows import fanout as walk
    from flows.benchmark import plan

    with ThreadPoolExecutor(runners.THREADS) as pool:
        call = SimpleNamespace(submit=lambda job, wait_for: Done(pool.submit(jobs.run, job)))
        with patch.object(walk, "task_for", lambda job, done: call):
            specs, methods = plan(config)
            fanout = fanout.Fanout(lambda *_: None, runners.places(config))
            common = {"store": config.store, "preset": config.preset, "device": config.device}
            for spec in specs:
                fanout.Walk(fanout, spec, methods, range(config.seeds), common, [])
            fanout.drain()
        assert not [error for _, error in fanout.finished.values() if error]
        return len(fanout.finished)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", default="sample")
    parser.add_argument("--method", action="append")
    parser.add_argument("--json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "prefect"
        with services.prefect_server(home) as api:
            os.environ |= {"PREFECT_API_URL": api, "PREFECT_HOME": str(home)}
            os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "ERROR"
            common.save(options.json, "overhead", measure(options, Path(name)))


def own_seconds(store: Path) -> float:
    """Sum over the steps' records, several of which run at a time."""
    return sum(json.loads(path.read_text())["seconds"] for path in store.glob("artifacts/*/*/*.json"))


def measure(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    from flows.benchmark import benchmark  # imports Prefect, now that its address is known
    from flows.config import BenchmarkConfig
    from flows.progress import on_progress

    chosen = {"methods": options.method} if options.method else {}

    def config(store: str) -> BenchmarkConfig:
        return BenchmarkConfig(dataset=options.dataset, store=(folder / store).as_uri(), **chosen)

    # loads what is loaded once per process, and gives Prefect's first run to another
    benchmark(BenchmarkConfig(dataset="sample", limit=1, methods=["bicubic"], store=(folder / "warm").as_uri()))
    last = [0.0]  # when the last step was done: what follows, the report, is no overhead

    def note(*_: int) -> None:
        last[0] = time.perf_counter()

    on_progress.set(note)
    found: dict[str, float] = {}
    for name in ("computed", "cached"):
        start = time.perf_counter()
        found["steps"] = plain(config("plain"))
        middle = time.perf_counter()
        assert benchmark(config("prefect"), return_state=True).is_completed()
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
