"""Slots, retries, set-up and its check on a running `mkgan serve`."""

from __future__ import annotations

import re
import signal
import subprocess
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import UUID

import pandas as pd
import psutil
import pytest
from prefect.client.schemas.objects import FlowRun, TaskRun

from deployments.automations import ZOMBIES
from deployments.embedded import SERVER_PROCESS
from deployments.serve import WORKER_PROCESS
from mkgan_core.pipeline.method import DEFAULT_METHOD
from tests.data_sets import write_data_set
from tests.e2e.operating.serving import Serving, mend
from tests.e2e.services import BIN, PATIENCE_S, clean_environment, free_port, until

METHODS = ["bicubic", "spectral+back-projection", "given/bicubic+back-projection"]
ZOMBIE_AFTER_S = 45
OPTIONS = ["--method", "bicubic", "--method", "given/bicubic+back-projection"]


def trained(tasks: list[TaskRun]) -> list[tuple[Any, Any]]:
    """From when to when each GPU task ran."""
    return [(task.start_time, task.end_time) for task in tasks if "gpu" in task.tags]


@dataclass
class Started:
    """A run of a deployment and what it was started with."""

    id: UUID
    config: dict[str, Any]


@pytest.fixture(scope="module")
def two_runs(serving: Serving, tmp_path_factory: pytest.TempPathFactory) -> list[Started]:
    """Two runs of different deployments, started at once, ended."""
    folder = tmp_path_factory.mktemp("two")
    runs = []
    for seed, deployment in ((1, "sample-smoke"), (2, "div2krk-x4-weekly")):
        data = write_data_set(folder / f"set{seed}", seed)
        config = {"dataset": str(data), "methods": METHODS, "store": str(folder / "store")}
        runs.append(Started(serving.start(deployment, **config), config))
    for run in runs:
        serving.ended(run.id)
    return runs


def test_two_runs_at_once_never_train_at_once(serving: Serving, two_runs: list[Started]) -> None:
    ended = [serving.ended(run.id) for run in two_runs]
    assert all(run.state and run.state.is_completed() for run in ended)
    assert _overlap(*ended)
    times = sorted(time for run in two_runs for time in trained(serving.tasks(run.id)))
    assert len(times) == 2 * 2 * (3 + 4)  # runs, images, kernels and enlargements
    overlaps = [(a, b) for a, b in pairwise(times) if b[0] < a[1]]
    assert overlaps == []
    busy = sum((end - start).total_seconds() for start, end in times)
    print(f"GPU tasks: {len(times)}, busy {busy:.1f} of {(times[-1][1] - times[0][0]).total_seconds():.1f} s")


def _overlap(first: FlowRun, second: FlowRun) -> bool:
    """Whether two runs were going on at the same time."""
    assert first.start_time and first.end_time and second.start_time and second.end_time
    return first.start_time < second.end_time and second.start_time < first.end_time


def test_finished_work_needs_no_slot(serving: Serving, two_runs: list[Started]) -> None:
    with serving.client() as client:
        slot = client.increment_concurrency_slots_with_lease(["tag:gpu"], 1, "concurrency", lease_duration=300).json()
        try:
            again = serving.ended(serving.start("sample-smoke", **two_runs[0].config))
        finally:
            client.release_concurrency_slots_with_lease(slot["lease_id"])
    assert again.state and again.state.is_completed()
    assert {task.state_name for task in serving.tasks(again.id)} == {"Cached"}


def test_somebody_is_told_and_retry_of_a_deployments_run(serving: Serving, tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "told", 4)
    mask = serving.spoil(data, "im_1")
    run = serving.start("sample-smoke", dataset=str(data), methods=["bicubic", "given/bicubic+back-projection"])
    failed = serving.ended(run)
    assert failed.state and failed.state.is_failed()
    failing = "estimate kernel of im_1 object by bicubic"
    told = until(lambda: [note["text"] for note in serving.notified if str(run) in note["text"]], "the webhook")
    assert "mkgan: compare 2 methods on told x2, preset fast: Failed, 1 of " in told[0]
    assert f"{serving.url}/runs/flow-run/{run}" in told[0]

    before = {task.id: task.run_count for task in serving.tasks(run)}
    retried = serving.mkgan("flow-run", "retry", str(run), program="prefect", **serving.variables)
    assert retried.returncode == 0, retried.stderr
    again = serving.ended(run, runs=2)
    assert again.state and again.state.is_failed()  # nothing is mended yet
    tasks = [task for task in serving.tasks(run) if task.run_count != before.get(task.id)]
    assert [task.name for task in tasks if task.state_name != "Cached"] == [failing], "only the failed region is tried"

    name = f"told-x2-fast-{str(run)[-8:]}"
    mend(mask)
    done = serving.mkgan("retry", name)
    assert done.returncode == 0, done.stderr
    assert "mkgan-gpu" in done.stdout  # the pool whose worker runs it
    again = serving.ended(run, runs=3)
    assert again.state and again.state.is_completed()
    rows = pd.read_parquet(serving.store / "runs" / name / "report.parquet")
    assert (rows["status"] == "ok").all()


def test_retry_of_a_run_from_a_terminal(serving: Serving, tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "terminal", 5)
    mask = serving.spoil(data, "im_1")
    first = serving.mkgan("benchmark", "--dataset", str(data), *OPTIONS)
    assert first.returncode == 1, first.stderr
    report = first.stdout.strip().splitlines()[-1].removeprefix("report: ")
    assert "failed: im_1 given/bicubic+back-projection seed 0" in first.stdout
    mend(mask)
    again = serving.mkgan("retry", report)
    assert again.returncode == 0, again.stderr
    assert again.stdout.strip().splitlines()[-1] == f"report: {report}"
    steps, cached = map(int, re.findall(r"(\d+) steps, (\d+) of them cached", again.stdout)[0])
    assert steps - cached == 3  # the region's kernel and enlargement, and the score of its image
    assert (pd.read_parquet(report)["status"] == "ok").all()


@pytest.mark.parametrize("name", ["no-such-run", "file:///nowhere/runs/x/report.parquet"])
def test_retry_of_nothing(serving: Serving, name: str) -> None:
    done = serving.mkgan("retry", name)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no run ")
    assert done.stderr.count("\n") == 1


def test_a_run_that_died_without_a_word(serving: Serving, tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "zombie", 6)
    # no shorter outside this test: heartbeats come every 30 s, and late on a busy machine
    assert f"automation '{ZOMBIES}' updated" in serving.mkgan("deploy", "--zombie-after", str(ZOMBIE_AFTER_S)).stdout
    with serving.client() as client:
        slot = client.increment_concurrency_slots_with_lease(["tag:gpu"], 1, "concurrency", lease_duration=300).json()
        command = [str(BIN / "mkgan"), "benchmark", "--dataset", str(data), "--method", "bicubic"]
        process = subprocess.Popen(command, env=serving.environment, stdout=subprocess.DEVNULL)
        folder = until(lambda: next(serving.store.glob("runs/zombie-*/run.json"), None), "the run to start").parent
        run = UUID(pd.read_json(folder / "run.json", typ="series")["flow_run_id"])

        def beats() -> bool:
            filter_ = {
                "event": {"name": ["prefect.flow-run.heartbeat"]},
                "resource": {"id": [f"prefect.flow-run.{run}"]},
            }
            return bool(client.request("POST", "/events/filter", json={"filter": filter_}).json()["events"])

        until(beats, "a heartbeat")
        process.send_signal(signal.SIGKILL)
        process.wait()
        client.release_concurrency_slots_with_lease(slot["lease_id"])
    crashed = serving.ended(run)
    assert crashed.state and crashed.state.is_crashed()
    assert f"No sign of life for {ZOMBIE_AFTER_S} s" in (crashed.state.message or "")
    assert f"automation '{ZOMBIES}' updated" in serving.mkgan("deploy").stdout
    done = serving.mkgan("retry", folder.name)
    assert done.returncode == 0, done.stderr
    assert (folder / "report.parquet").exists()


def test_a_killed_command_leaves_no_server_behind(tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "killed", 7)
    command = [str(BIN / "mkgan"), "benchmark", "--dataset", str(data), "--method", "bicubic"]
    process = subprocess.Popen(command, env=clean_environment(MKGAN_HOME=str(tmp_path)), stdout=subprocess.DEVNULL)

    def its_server() -> psutil.Process | None:
        children = psutil.Process(process.pid).children()
        return next((child for child in children if SERVER_PROCESS in child.cmdline()), None)

    server = until(its_server, "its server")
    process.kill()
    process.wait()
    psutil.wait_procs([server], timeout=PATIENCE_S)
    assert not server.is_running()


def test_an_image_that_arrives_is_enlarged(serving: Serving, tmp_path: Path) -> None:
    photo = write_data_set(tmp_path / "photos", 7) / "lr_x2" / "im_1.png"
    with serving.client() as client:
        found = client.read_deployment_by_name("upscale/upscale")
        config = {"images": [str(photo)], "other_method": "spectral+back-projection", "out": str(tmp_path / "out")}
        run = client.create_flow_run_from_deployment(found.id, parameters={"config": config}).id
        event = {"event": "mkgan.image.arrived", "occurred": pd.Timestamp.utcnow().isoformat()}
        event |= {"resource": {"prefect.resource.id": "mkgan.image.nowhere"}, "payload": {"uri": "/nowhere/photo.png"}}
        client.request("POST", "/events", json=[event | {"id": str(UUID(int=7))}])

        def by_event() -> Any:
            runs = client.read_flow_runs(limit=50)
            wanted = {"images": ["/nowhere/photo.png"], "method": DEFAULT_METHOD}
            return next((r for r in runs if r.parameters.get("config") == wanted), None)

        arrived = until(by_event, "the event to start a run")
    assert serving.ended(run).state_name == "Completed"
    assert (tmp_path / "out" / "im_1_x2.png").exists()
    failed = serving.ended(arrived.id)  # there is no such file, and it says so
    assert failed.state and failed.state.is_failed()
    assert "/nowhere/photo.png" in (failed.state.message or "")


def everything(serving: Serving) -> dict[str, Any]:
    """What is set up on the server, with identities."""
    with serving.client() as client:
        deployments = {d.name: d for d in client.read_deployments()}
        pool = client.read_work_pool("mkgan-gpu")
        return {
            "deployments": {n: (d.id, d.version, d.parameters) for n, d in deployments.items()},
            "schedules": {n: [(s.id, s.active, s.schedule) for s in d.schedules] for n, d in deployments.items()},
            "limits": {n: (d.global_concurrency_limit, d.concurrency_options) for n, d in deployments.items()},
            "automations": [(a.id, a.name, a.enabled) for a in client.read_automations()],
            "pool": (pool.id, pool.type, pool.base_job_template),
            "queues": [(q.id, q.name, q.priority) for q in client.read_work_queues(work_pool_name="mkgan-gpu")],
            "slots": client.read_concurrency_limit_by_tag("gpu").concurrency_limit,
            "blocks": [(b.id, b.name, b.data) for b in client.read_block_documents()],
        }


def test_deploying_again_changes_nothing(serving: Serving) -> None:
    before = everything(serving)
    assert set(before["deployments"]) == {"div2krk-x2-nightly", "div2krk-x4-weekly", "sample-smoke", "upscale"}
    assert [len(before["schedules"][n]) for n in sorted(before["schedules"])] == [1, 1, 0, 0]
    assert before["slots"] == 1
    done = serving.mkgan("deploy")
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stdout
    assert everything(serving) == before
    with serving.client() as client:
        deployment, (schedule, *_) = (
            before["deployments"]["div2krk-x4-weekly"][0],
            before["schedules"]["div2krk-x4-weekly"],
        )
        client.update_deployment_schedule(deployment, schedule[0], active=False)  # somebody switches it off in the UI
    assert serving.mkgan("deploy").returncode == 0
    assert [active for _, active, _ in everything(serving)["schedules"]["div2krk-x4-weekly"]] == [False]
    done = serving.mkgan("deploy", "--gpu-slots", "3")
    assert "GPU slots: 3" in done.stdout
    assert everything(serving)["slots"] == 3
    assert "GPU slots: 1" in serving.mkgan("deploy").stdout  # MKGAN_GPU_SLOTS


def kill(serving: Serving, module: str) -> None:
    """Kill the process of `mkgan serve` that runs this module."""
    children = psutil.Process(serving.process.pid).children()
    next(child for child in children if module in child.cmdline()).kill()


def test_a_killed_server_and_a_killed_worker_come_back(serving: Serving, tmp_path: Path) -> None:
    data = write_data_set(tmp_path / "back", 8)
    run = serving.start("sample-smoke", dataset=str(data), methods=METHODS, store=str(tmp_path / "store"))
    until(lambda: list(tmp_path.glob("store/artifacts/*/*/*.json")), "a step", 0.1)
    kill(serving, SERVER_PROCESS)
    ended = serving.ended(run)
    assert ended.state and ended.state.is_completed(), ended.state
    assert (pd.read_parquet(next(tmp_path.glob("store/runs/*/report.parquet")))["status"] == "ok").all()
    kill(serving, WORKER_PROCESS)
    again = serving.ended(serving.start("sample-smoke", dataset=str(data), methods=METHODS))  # by the new worker
    assert again.state and again.state.is_completed(), again.state
    with serving.client() as client:
        limit = client.request("GET", "/v2/concurrency_limits/tag:gpu").json()
    assert limit["active_slots"] == 0  # nothing is held by those who died


def test_a_schedule_without_its_data_set_is_paused(serving: Serving) -> None:
    with serving.client() as client:
        active = {d.name: [s.active for s in d.schedules] for d in client.read_deployments() if d.schedules}
    assert active["div2krk-x2-nightly"][0]
    assert not active["div2krk-x4-weekly"][0]  # the tests' data set has no x4
    assert "div2krk-x4-weekly is paused" in serving.output.read_text()


def test_deploy_without_a_server(serving: Serving, tmp_path: Path) -> None:
    for variables, says in (
        ({"MKGAN_HOME": str(tmp_path)}, "set PREFECT_API_URL"),
        ({"PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api"}, "no Prefect server answers at"),
    ):
        done = serving.mkgan("deploy", **variables)
        assert done.returncode == 2
        assert says in done.stderr
        assert done.stderr.count("\n") == 1


def test_serve_refuses_a_taken_port_and_a_second_server(serving: Serving, tmp_path: Path) -> None:
    for variables, says in (({"MKGAN_HOME": str(tmp_path / "other")}, "--port"), ({}, "MKGAN_HOME")):
        done = serving.mkgan("serve", **variables)
        assert done.returncode == 2
        assert says in done.stderr
        assert done.stderr.count("\n") == 1
    assert not (tmp_path / "other").exists()


def test_doctor(serving: Serving, tmp_path: Path) -> None:
    well = serving.mkgan("doctor")
    assert well.returncode == 0, well.stdout + well.stderr
    assert "no problems found" in well.stdout
    for line in ("work pool", " online", "GPU slots", "sample-smoke", "crash zombie runs", "2 images at x2"):
        assert line in well.stdout
    (tmp_path / "file").write_text("")
    ill = serving.mkgan(
        "doctor", MKGAN_STORE=str(tmp_path / "file"), PREFECT_API_URL=f"http://127.0.0.1:{free_port()}/api"
    )
    assert ill.returncode == 1
    assert "2 problems found" in ill.stdout
    assert "set MKGAN_STORE" in ill.stdout
