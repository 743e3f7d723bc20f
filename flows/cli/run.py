"""Running the flow from a terminal: progress, the table, the exit code."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import run_flow

from deployments.server import EmbeddedServer
from flows.benchmark import benchmark, plan
from flows.cli.display import Display, Shown
from flows.cli.interruption import attended
from flows.cli.terminal import print_comparison
from flows.config import BenchmarkConfig
from flows.names import run_id
from flows.progress import Standing, on_progress
from mkgan_core.machine.progress import listening
from mkgan_core.reports.runs import CONTACT_SHEET, REPORT, RunFolder, read


def run_benchmark(
    config: BenchmarkConfig,
    server: EmbeddedServer | None,
    display: Display,
    flow_run: Callable[[], FlowRun] | None = None,
) -> int:
    """Check, run, print; returns the exit code: 0 done, 1 some regions failed.

    Args:
        config: what to run.
        server: the server that is starting, None where one is there already.
        display: what the terminal shows.
        flow_run: called when the server is there, gives the flow run to go on with; None for a new one.

    Raises:
        MkganError: for bad input, before anything is started.
        Interrupted: after a signal.
    """
    specs, methods = plan(config, patient=False)
    display.line(f"{config.dataset}: {len(specs)} images, {len(methods)} methods, preset {config.preset}")
    watched = _Watched()

    def work() -> State:
        for module in ("fastapi", "scipy.ndimage"):  # the flow will need them: load them while the server starts
            importlib.import_module(module)
        if server:
            server.wait()
            display.line(f"watch it at {server.api_url.removesuffix('/api')} while it runs")
        on_progress.set(watched.stand)
        with listening(watched.hear):
            return _run(config, flow_run() if flow_run else None)

    state = attended(work, display, watched.shown, watched.kept)
    return _finish(config, state, watched.standing, display)


class _Watched:
    """What is known of the run while it runs."""

    def __init__(self) -> None:
        self._step = ""
        self.standing: Standing | None = None

    def stand(self, standing: Standing) -> None:
        """Take how many rows are finished."""
        self.standing = standing

    def hear(self, label: str, share: float) -> None:
        """Take what a step is doing."""
        self._step = f"{label} {share:.0%}" if share else label

    def shown(self) -> Shown:
        """What the terminal shows."""
        now = self.standing
        if now is None:
            return "starting", 0.0, None
        if now.rows == now.of:
            return "writing the report", 1.0, None
        step = self._step or f"{now.steps} steps done"
        return f"{now.rows}/{now.of} rows: {step}", now.rows / now.of, now.left_s

    def kept(self) -> str:
        """What is left of an interrupted run."""
        now = self.standing
        if not now:
            return "nothing was started"
        return (
            f"{now.rows} of {now.of} rows are finished; finished steps are kept. "
            f"The same command goes on, and so does: mkgan retry {now.run}"
        )


def _run(config: BenchmarkConfig, flow_run: FlowRun | None) -> State:
    if flow_run is None:
        return benchmark(config, return_state=True)
    return cast("State", run_flow(benchmark, flow_run, parameters={"config": config}, return_type="state"))


def _finish(config: BenchmarkConfig, state: State, standing: Standing | None, display: Display) -> int:
    if "report: " not in (state.message or ""):  # the flow itself broke, not a region
        state.result()
        raise RuntimeError(f"the flow ended {state.name} without a report")
    folder = RunFolder.of(run_id(config, str(state.state_details.flow_run_id)), config.store)
    rows = read(folder.run_id, config.store)
    if standing:
        display.line(f"{standing.steps} steps, {standing.cached} of them cached")
    if not display.quiet:
        print_comparison(rows, display.console)
    display.line(f"picture: {folder.store.uri_of(CONTACT_SHEET)}")
    display.line(f"report: {folder.store.uri_of(REPORT)}")
    return 0 if set(rows["status"]) == {"ok"} else 1
