"""The flow on a real server."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter
from pathlib import Path
from uuid import UUID

import httpx
import pandas as pd
import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey, FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import State, TaskRun

from flows.benchmark import benchmark
from flows.config import BenchmarkConfig
from flows.names import run_id
from flows.progress import Standing, on_progress
from mkgan_core.machine import progress
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline.steps.enlarge import UpscaleJob
from mkgan_core.reports import runs
from mkgan_core.reports.runs import read

METHODS = ["bicubic", "bicubic+back-projection", "given/ground-truth+back-projection"]


@pytest.fixture
def config(dataset_folder: Path, tmp_path: Path) -> BenchmarkConfig:
    return BenchmarkConfig(dataset=str(dataset_folder), methods=METHODS, store=(tmp_path / "store").as_uri())


def run(config: BenchmarkConfig) -> tuple[State, list[TaskRun], pd.DataFrame]:
    state = benchmark(config, return_state=True)
    flow_run_id = state.state_details.flow_run_id
    counted = re.search(r"(\d+) steps", state.message or "")
    assert counted
    tasks = settled_tasks(flow_run_id, int(counted[1]))
    return state, tasks, read(run_id(config, str(flow_run_id)), config.store)


def settled_tasks(flow_run_id: UUID, count: int, timeout_s: float = 60) -> list[TaskRun]:
    """The task runs, once the server has recorded all of them and their last states (from events, a moment later)."""
    deadline = time.monotonic() + timeout_s
    with get_client(sync_client=True) as client:
        while True:
            chosen = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
            tasks = client.read_task_runs(flow_run_filter=chosen, limit=200)
            settled = sum(bool(task.state and task.state.is_final()) for task in tasks)
            if settled >= count or time.monotonic() > deadline:
                return tasks
            time.sleep(0.2)


def states(tasks: list[TaskRun]) -> Counter[str]:
    return Counter(task.state_name or "" for task in tasks)


def test_the_whole_walk(config: BenchmarkConfig) -> None:
    seen: list[Standing] = []
    token = on_progress.set(seen.append)
    state, tasks, rows = run(config)
    on_progress.reset(token)
    assert state.is_completed()
    assert "dB over bicubic on 2 images" in (state.message or "") or "better than bicubic" in (state.message or "")
    # per image: 2 segmentations; 1 + 2 kernels; 1 + 1 + 2 enlargements; 3 scores
    assert len(tasks) == 2 * (2 + 3 + 4 + 3)
    assert states(tasks) == {"Completed": len(tasks)}
    names = {task.name for task in tasks}
    assert {"segment im_1 by given", "estimate kernel of im_2 object by ground-truth"} <= names
    assert {"enlarge im_1 by bicubic", "score im_2 by bicubic+back-projection"} <= names
    assert {t.name.split()[0] for t in tasks if "gpu" in t.tags} == {"estimate", "enlarge"}
    assert list(rows["method"]) == METHODS * 2
    assert (rows["status"] == "ok").all()
    means = rows.groupby("method")["psnr_y"].mean()
    assert means["given/ground-truth+back-projection"] > means["bicubic"]
    assert (seen[-1].rows, seen[-1].steps, seen[-1].cached) == (6, len(tasks), 0)
    assert {standing.of for standing in seen} == {6}  # known from the start
    assert [standing.rows for standing in seen] == sorted(standing.rows for standing in seen)
    assert (seen[0].left_s, seen[-1].left_s) == (None, 0)
    run_of = runs.open_run(rows["run_id"].iloc[0], config.store)
    assert list(run_of.images["image"]) == ["im_1", "im_2"]
    assert list(run_of.images["object_share"]) == [0.5, 0.5]
    assert (run_of.images["blur_difference"] == 0).all()
    assert {Path(uri.removeprefix("file://")).suffix for uri in run_of.rows["output_uri"]} == {".png"}
    assert run_of.regions["mask_uri"].notna().sum() == 2 * 2
    assert run_of.pairs[0] == ("bicubic+back-projection", "bicubic")

    with get_client(sync_client=True) as client:
        found = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["comparison-tiny-x2"]))
        )
    own = [artifact for artifact in found if artifact.flow_run_id == state.state_details.flow_run_id]
    assert "given/ground-truth+back-projection" in str(own[0].data)

    _, again, second = run(config)  # a new flow run computes nothing
    assert states(again) == {"Cached": len(tasks)}
    assert (second["psnr_y"] == rows["psnr_y"]).all()

    for file in (Path(config.store.removeprefix("file://")) / "artifacts" / "upscale").rglob("*.json"):
        file.unlink()  # cached in Prefect, gone from the store: done again
    _, repaired, third = run(config)
    done_again = {task.name for task in repaired if task.state_name == "Completed"}
    assert done_again == {name for name in names if name.startswith("enlarge")}
    assert (third["psnr_y"] == rows["psnr_y"]).all()


def test_a_failed_region_fails_its_image_alone(config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    compute = UpscaleJob.compute
    broken = []

    def sometimes(self: UpscaleJob, store: Store) -> dict:
        if self.spec.image == "im_2" and self.region["name"] == "object" and not broken:
            raise ValueError("no luck")
        return compute(self, store)

    monkeypatch.setattr(UpscaleJob, "compute", sometimes)
    state, tasks, rows = run(config)
    assert state.is_failed()
    failed = rows[rows["status"] == "failed"]
    assert list(failed["image"]) == ["im_2"]
    assert list(failed["method"]) == ["given/ground-truth+back-projection"]
    assert "enlarge im_2 object by ground-truth+back-projection" in failed["error"].iloc[0]
    assert "no luck" in failed["error"].iloc[0]
    assert failed["psnr_y"].isna().all()
    assert states(tasks)["Failed"] == 1

    broken.append(True)  # mended: only that region and the image's score are computed
    state, tasks, rows = run(config)
    assert state.is_completed()
    assert states(tasks)["Completed"] == 2
    assert (rows["status"] == "ok").all()


def test_storage_faults_are_retried(config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    from mkgan_core.errors import StorageError
    from mkgan_core.pipeline.steps.segment import SegmentJob
    from tasks.steps import TASKS

    compute, faults = SegmentJob.compute, []

    def once(self: SegmentJob, store: Store) -> dict:
        if not faults:
            faults.append(1)
            raise StorageError("the store is away")
        return compute(self, store)

    monkeypatch.setattr(SegmentJob, "compute", once)
    monkeypatch.setattr(TASKS[SegmentJob], "retry_delay_seconds", 0)
    state, tasks, _ = run(config.model_copy(update={"methods": ["bicubic"], "limit": 1}))
    assert state.is_completed()
    assert {task.run_count for task in tasks if task.name.startswith("segment")} == {2}


def test_seeds_make_rows(config: BenchmarkConfig) -> None:
    _, tasks, rows = run(config.model_copy(update={"methods": ["bicubic"], "seeds": 3, "seed": 5}))
    assert sorted(rows["seed"].unique()) == [5, 6, 7]
    assert len(rows) == 6
    assert len(tasks) == 6  # nothing here depends on the seed, so it is done once


def test_memory_store(config: BenchmarkConfig) -> None:
    state, _, rows = run(config.model_copy(update={"store": "memory://benchmark-test", "limit": 1}))
    assert state.is_completed()
    assert (rows["status"] == "ok").all()


def test_what_the_server_does_not_show_ends_no_run(config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*_: object, **__: object) -> None:
        raise httpx.ReadTimeout("the database stands still")

    for name in ("progress.create_progress_artifact", "artifacts.create_table_artifact"):
        monkeypatch.setattr(f"flows.{name}", busy)
    state, _, rows = run(config.model_copy(update={"methods": ["bicubic"], "limit": 1}))
    assert state.is_completed()
    assert (rows["status"] == "ok").all()


def test_a_stopped_run_is_cancelled_and_goes_on_later(config: BenchmarkConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(standing: Standing) -> None:
        if standing.steps == 5:
            progress.stop()

    token = on_progress.set(stop)
    with monkeypatch.context() as patch:
        patch.setattr(progress, "_stopping", threading.Event())
        state = benchmark(config, return_state=True)
    on_progress.reset(token)
    assert state.is_cancelled()
    seen: list[Standing] = []
    token = on_progress.set(seen.append)
    state, _, rows = run(config)
    on_progress.reset(token)
    assert state.is_completed()
    assert seen[-1].cached >= 5
    assert (rows["status"] == "ok").all()


def test_steps_run_in_processes_too(config: BenchmarkConfig) -> None:
    chosen = {"runner": "processes", "methods": ["bicubic+back-projection"], "limit": 1}
    _, _, rows = run(config.model_copy(update=chosen))
    assert (rows["status"] == "ok").all()
