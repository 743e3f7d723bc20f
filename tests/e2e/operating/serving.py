"""A running `mkgan serve`, and what can be done with it."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import FlowRun, TaskRun

from deployments.server import AUTH, STATE
from mkgan_core.datasets.layout import Dataset
from mkgan_core.pipeline import jobs
from mkgan_core.pipeline.steps.kernel import KernelJob
from mkgan_core.pipeline.steps.segment import SegmentJob
from tests.e2e.services import call, until


@dataclass
class Serving:
    """A running `mkgan serve`.

    Attributes:
        home: its MKGAN_HOME.
        data: the data set of its scheduled runs.
        url: address of the UI.
        environment: its environment; commands with the same one find its server.
        process: its process.
        output: file with what it prints.
        notified: what the webhook was told.
    """

    home: Path
    data: Path
    url: str
    environment: dict[str, str]
    process: subprocess.Popen[str]
    output: Path
    notified: list[dict[str, Any]] = field(default_factory=list)

    @property
    def auth(self) -> str:
        """What its server wants to be shown."""
        return (self.home / STATE / AUTH).read_text().strip()

    @property
    def variables(self) -> dict[str, str]:
        """What Prefect's own programs need to reach it."""
        return {"PREFECT_API_URL": f"{self.url}/api", "PREFECT_API_AUTH_STRING": self.auth}

    @property
    def store(self) -> Path:
        return self.home / "store"

    def client(self) -> SyncPrefectClient:
        return SyncPrefectClient(f"{self.url}/api", auth_string=self.auth)

    def mkgan(self, *arguments: str, program: str = "mkgan", **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command, or another program, as in another terminal of this machine."""
        return call(program, *arguments, environment=self.environment | variables)

    def ended(self, flow_run_id: UUID, runs: int = 1) -> FlowRun:
        """The flow run, when it has ended for the nth time."""

        def look() -> FlowRun | None:
            with self.client() as client:
                run = client.read_flow_run(flow_run_id)
            return run if run.state and run.state.is_final() and run.run_count >= runs else None

        return until(look, f"flow run {flow_run_id} to end")

    def tasks(self, flow_run_id: UUID) -> list[TaskRun]:
        """Its task runs, when the server has recorded their last states (from events, a moment later)."""
        chosen = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))

        def look() -> list[TaskRun] | None:
            with self.client() as client:
                tasks = client.read_task_runs(flow_run_filter=chosen, limit=200)
            return tasks if all(task.state and task.state.is_final() for task in tasks) else None

        return until(look, "the task runs to settle")

    def start(self, deployment: str, **config: Any) -> UUID:
        """A run of a deployment of the flow `benchmark`, with this configuration."""
        with self.client() as client:
            entry = client.read_deployment_by_name(f"benchmark/{deployment}")
            return client.create_flow_run_from_deployment(entry.id, parameters={"config": config}).id

    def spoil(self, data: Path, image: str) -> Path:
        """Keep the store from taking one record: that of the kernel of an image's region `object`, by bicubic.

        A damaged file would not do: it is made again. Returns what is in the way.
        """
        (spec,) = Dataset(str(data)).plan(2, [image])
        common: Any = {"store": str(self.store), "preset": "fast", "device": "auto"}
        regions = jobs.run(SegmentJob(spec, **common, segmenter="given"))["regions"]
        region = next(entry for entry in regions if entry["name"] == "object")
        kernel = KernelJob(spec, **common, region=region, seed=0, estimator="bicubic")
        obstacle = self.store / kernel.record_name
        obstacle.mkdir(parents=True)
        return obstacle


def mend(obstacle: Path) -> None:
    """Undo `Serving.spoil`."""
    obstacle.rmdir()
