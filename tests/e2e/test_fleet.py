"""More than one machine, on one: a Dask cluster; Prefect workers on PostgreSQL and S3."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from mkgan_core.datasets.file_names import image_files
from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.imaging.degradation import degrade
from mkgan_core.machine.places import CODE
from mkgan_core.machine.storage import Store
from mkgan_core.reports.runs import open_run
from tests.e2e.services import (
    BIN,
    PATIENCE_S,
    Gate,
    call,
    clean_environment,
    postgres,
    prefect_server,
    process,
    s3,
    until,
)
from tests.pictures import power_law

IMAGES = 4
METHODS = ["bicubic", "bicubic+back-projection", "spectral+back-projection", "given/ground-truth+back-projection"]
GPU_STEPS = IMAGES * (4 + 5)  # kernels, enlargements
STEPS = IMAGES * (2 + 4) + GPU_STEPS  # segmentations, scores
OUTAGE_S = 20
# what may differ between two runs of the same
OWN = ["run_id", "peak_memory_mb", "threads", "created_at", "kernel_uri", "mask_uri", "output_uri"]
BUCKET = "fleet"
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fleet") / "set"
    store = Store(str(folder))
    mask = np.zeros((192, 256), bool)
    mask[:, :128] = True
    for n in range(IMAGES):
        high = power_law(mask.shape, 2.8, n)  # like a photograph, or the spectral estimator would find nothing
        kernel = random_kernel(np.random.default_rng(n), 2)
        for name, data in image_files(
            f"im_{n}", high, {2: degrade(high, kernel, 2)}, {2: {"background": kernel}}, {"object": mask}
        ):
            store.write(name, data)
    return folder


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The one server of these tests, on PostgreSQL."""
    with postgres() as database, prefect_server(tmp_path_factory.mktemp("server"), database) as url:
        yield url


class Command:
    """`mkgan benchmark` as a process against the server of the tests."""

    def __init__(self, api: str, home: Path, dataset: Path) -> None:
        self.home, self.dataset = home, dataset
        self.environment = clean_environment(
            PREFECT_API_URL=api, PREFECT_HOME=str(home / "prefect"), MKGAN_HOME=str(home), OMP_NUM_THREADS="1"
        )

    def start(self, *options: str, **environment: str) -> subprocess.Popen[str]:
        names = [part for method in METHODS for part in ("--method", method)]
        return subprocess.Popen(
            [str(BIN / "mkgan"), "benchmark", "--dataset", str(self.dataset), *names, *options],
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def finish(command: subprocess.Popen[str]) -> tuple[str, str]:
    """URI of the report, and how many steps there were: "N steps, M of them cached"."""
    out, err = command.communicate(timeout=PATIENCE_S)
    assert command.returncode == 0, out + err
    return out.strip().splitlines()[-1].removeprefix("report: "), next(x for x in out.splitlines() if " cached" in x)


def rows(*uris: str) -> list[pd.DataFrame]:
    """The rows of the runs' reports and of their regions, without what may differ."""
    runs = [open_run(uri, "") for uri in uris]
    tables = []
    for table in (pd.concat([run.rows for run in runs]), pd.concat([run.regions for run in runs])):
        own = [column for column in table if column in OWN or str(column).startswith("seconds_")]
        order = table.columns.intersection(["image", "method", "region"])
        tables.append(table.drop(columns=own).sort_values(list(order), ignore_index=True))
    return tables


def assert_same(expected: list[pd.DataFrame], *uris: str) -> None:
    for found, table in zip(rows(*uris), expected, strict=True):
        pd.testing.assert_frame_equal(found, table, rtol=1e-9)


@pytest.fixture(scope="module")
def mkgan(api: str, tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Command:
    return Command(api, tmp_path_factory.mktemp("home"), dataset)


@pytest.fixture(scope="module")
def expected(mkgan: Command) -> list[pd.DataFrame]:
    """What threads on a local store report."""
    uri, steps = finish(mkgan.start())
    assert steps == f"{STEPS} steps, 0 of them cached"
    found = rows(uri)
    assert len(found[0]) == IMAGES * len(METHODS)
    assert set(found[0]["status"]) == {"ok"}
    return found


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Dask cluster of three workers, of which 0 and 1 offer a GPU; ``cluster.done`` counts (needs a GPU, worker)."""
    distributed = pytest.importorskip("distributed")
    dask = pytest.importorskip("dask")
    dask.config.set({"logging.distributed": "warning"})  # or its farewells would hide a failed test's words
    logging.getLogger("distributed").setLevel(logging.WARNING)
    common = {"nthreads": 1, "memory_limit": 0, "dashboard": False}
    options = [common | {"resources": {"GPU": 1}}, common | {"resources": {"GPU": 1}}, common]
    workers = {n: {"cls": distributed.Nanny, "options": chosen} for n, chosen in enumerate(options)}
    scheduler = {"cls": distributed.Scheduler, "options": {"host": "127.0.0.1", "port": 0, "dashboard": False}}

    class Placed(distributed.SchedulerPlugin):
        def transition(self, key: str, start: str, finish: str, *args: Any, worker: str = "", **more: Any) -> None:
            if finish == "memory":
                needs_gpu = bool(made.scheduler.tasks[key].resource_restrictions)
                made.done[needs_gpu, made.scheduler.workers[worker].name] += 1

    with distributed.SpecCluster(workers=workers, scheduler=scheduler, silence_logs=logging.WARNING) as made:
        made.done = Counter()  # of the first test
        made.scheduler.add_plugin(Placed())
        yield made


def records(store: Path) -> dict[str, int]:
    """The finished steps: their records' files, and when each was written."""
    return {str(path): path.stat().st_mtime_ns for path in store.glob("artifacts/*/*/*.json")}


def test_dask_reports_what_threads_report(cluster: Any, mkgan: Command, expected: list, tmp_path: Path) -> None:
    options = ["--runner", "dask", "--store", str(tmp_path)]
    uri, steps = finish(mkgan.start(*options, MKGAN_DASK_ADDRESS=cluster.scheduler_address))
    assert steps == f"{STEPS} steps, 0 of them cached"
    assert_same(expected, uri)
    assert sum(cluster.done.values()) == STEPS
    assert {worker for _, worker in cluster.done} == {0, 1, 2}
    on_gpu = {worker: count for (needs_gpu, worker), count in cluster.done.items() if needs_gpu}
    assert set(on_gpu) == {0, 1}
    assert sum(on_gpu.values()) == GPU_STEPS


def test_a_dask_worker_is_killed(cluster: Any, mkgan: Command, expected: list, tmp_path: Path) -> None:
    from distributed import Client

    client: Any
    with Client(cluster) as client:
        pids = client.run(os.getpid)
        run = mkgan.start("--runner", "dask", "--dask-address", cluster.scheduler_address, "--store", str(tmp_path))
        until(lambda: run.poll() is not None or len(records(tmp_path)) > STEPS // 3, "a third of the steps", 0.1)
        busy: list[str] = []
        while not busy and run.poll() is None:  # between two steps all may be idle
            busy = [worker for worker, tasks in client.processing().items() if tasks]
        assert busy, run.communicate()
        before = records(tmp_path)
        os.kill(pids[busy[0]], signal.SIGKILL)
    uri, steps = finish(run)
    assert steps == f"{STEPS} steps, 0 of them cached"
    assert_same(expected, uri)
    after = records(tmp_path)
    assert {name: after[name] for name in before} == before  # nothing that was finished was done again
    assert len(after) > len(before)


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gate, dict[str, str]]]:
    """An S3 store behind a gate, and the environment that leads there."""
    with s3(tmp_path_factory.mktemp("s3") / "log", BUCKET) as port:
        gate = Gate(port)
        names = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
        yield gate, {**names, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{gate.port}"}


def test_two_prefect_workers_share_an_s3_store_that_goes_away_for_a_while(
    bucket: tuple[Gate, dict[str, str]], mkgan: Command, expected: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One server on PostgreSQL, one pool, one store: each worker takes one of two runs, each with half of the images.

    In the middle of it the store cannot be reached.
    """
    for name, value in bucket[1].items():
        monkeypatch.setenv(name, value)
    store = f"s3://{BUCKET}/shared"
    environment = {**mkgan.environment, **bucket[1], "MKGAN_STORE": store, "MKGAN_CHECKOUT": str(CODE)}
    # slots for all: what a limit does is another test's matter
    done = call("mkgan", "deploy", "--gpu-slots", "64", environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    command = [str(BIN / "prefect"), "worker", "start", "--pool", "mkgan-gpu", "--limit", "1", "--name"]
    names, uris = ["one", "two"], []
    with ExitStack() as workers, httpx.Client(base_url=mkgan.environment["PREFECT_API_URL"]) as api:
        for name in names:
            workers.enter_context(process([*command, name], tmp_path / f"{name}.log", environment))
        # both at work before there is any: the first could be free again before the second has started
        until(lambda: _online(api) >= set(names), "two workers", 1)
        halves = [f"im_{n}" for n in range(IMAGES // 2)], [f"im_{n}" for n in range(IMAGES // 2, IMAGES)]
        runs = []
        # two deployments, for each allows one run at a time
        for deployment, chosen in zip(["sample-smoke", "div2krk-x2-nightly"], halves, strict=True):
            found = api.get(f"/deployments/name/benchmark/{deployment}").raise_for_status().json()["id"]
            config = {"dataset": str(mkgan.dataset), "methods": METHODS, "images": chosen, "store": store}
            made = api.post(f"/deployments/{found}/create_flow_run", json={"parameters": {"config": config}})
            runs.append(made.raise_for_status().json()["id"])
        until(lambda: _count(Store(store)) > STEPS // 3, "a third of the steps", 0.1)
        bucket[0].shut()
        time.sleep(OUTAGE_S)
        bucket[0].open()
        assert _count(Store(store)) < STEPS
        for run in runs:
            until(lambda run=run: _state(api, run)["type"] in ENDED, "a run", 1)
            state = _state(api, run)
            assert state["type"] == "COMPLETED", state
            uris.append(state["message"].split("report: ")[1])
    for name in names:
        log = (tmp_path / f"{name}.log").read_text()
        assert log.count("submitted to infrastructure") == 1, log
    assert_same(expected, *uris)


def _online(api: httpx.Client) -> set[str]:
    """Names of the workers that the pool has heard of lately."""
    found = api.post("/work_pools/mkgan-gpu/workers/filter", json={}).raise_for_status().json()
    return {worker["name"] for worker in found if worker["status"] == "ONLINE"}


def _state(api: httpx.Client, run: str) -> dict[str, Any]:
    return api.get(f"/flow_runs/{run}").raise_for_status().json()["state"]


def _count(store: Store) -> int:
    return sum(name.endswith(".json") for name in store.fs.find(store.path("artifacts")))
