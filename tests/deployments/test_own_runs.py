"""Runs whose process died are told from those that have one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from prefect.client import orchestration
from prefect.exceptions import ObjectNotFound
from prefect.states import Completed, Running

from deployments import own_runs

HOLD = (
    "import sys, pathlib, uuid; from deployments.own_runs import noted\n"
    "with noted(pathlib.Path(sys.argv[1]), uuid.UUID(sys.argv[2])): print(flush=True); sys.stdin.read()"
)


class Client:
    """A server with these runs."""

    def __init__(self, runs: dict[UUID, Any]) -> None:
        self.runs, self.set = runs, {}

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *fault: object) -> None:
        pass

    def read_flow_run(self, flow_run_id: UUID) -> Any:
        if flow_run_id not in self.runs:
            raise ObjectNotFound(Exception())
        return SimpleNamespace(name=f"run {flow_run_id}", state=self.runs[flow_run_id])

    def set_flow_run_state(self, flow_run_id: UUID, state: Any, force: bool) -> None:
        self.set[flow_run_id] = state


def test_only_runs_without_a_process_are_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed, ended, unknown, living = (uuid4() for _ in range(4))
    client = Client({killed: Running(), ended: Completed(), living: Running()})
    monkeypatch.setattr(orchestration, "get_client", lambda **options: client)
    holders = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path), str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for run in (killed, ended, unknown, living)
    ]
    for holder in holders:
        assert holder.stdout
        holder.stdout.readline()
    for holder in holders[:3]:
        holder.kill()
        holder.wait()
    (tmp_path / own_runs.FOLDER / "not-a-run").write_text("")
    assert own_runs.is_carried_out(tmp_path, living)
    assert not own_runs.is_carried_out(tmp_path, killed)
    assert own_runs.mark_crashed(tmp_path) == [f"run {killed}"]
    assert list(client.set) == [killed]
    assert client.set[killed].is_crashed()
    assert own_runs.mark_crashed(tmp_path) == []
    holders[3].communicate(timeout=60)  # ends in order
    assert not own_runs.is_carried_out(tmp_path, living)
    assert [file.name for file in (tmp_path / own_runs.FOLDER).iterdir()] == ["not-a-run"]


def test_a_home_that_is_new(tmp_path: Path) -> None:
    """With a server elsewhere, nobody has made the home's folder yet."""
    run = uuid4()
    with own_runs.noted(tmp_path / "home" / ".prefect", run):
        assert own_runs.is_carried_out(tmp_path / "home" / ".prefect", run)


def test_a_state_that_cannot_be_written_costs_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with own_runs.noted(tmp_path / "file" / ".prefect", uuid4()):
        pass
