"""Running the flow from a terminal: progress, the table, the exit code."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import cast

from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import run_flow
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from deployments.server import EmbeddedServer
from flows.benchmark import benchmark, plan
from flows.cli.terminal import print_comparison
from flows.config import BenchmarkConfig
from flows.names import run_id
from flows.progress import on_progress
from mkgan_core.reports.runs import CONTACT_SHEET, REPORT, RunFolder, read


def run_benchmark(
    config: BenchmarkConfig,
    server: EmbeddedServer | None,
    console: Console,
    flow_run: Callable[[], FlowRun] | None = None,
) -> int:
    """Check, run, print; returns the exit code: 0 done, 1 some regions failed.

    Args:
        config: what to run.
        server: the server that is starting, None where one is there already.
        console: where to print.
        flow_run: called when the server is there, gives the flow run to go on with; None for a new one.

    Raises:
        MkganError: for bad input, before anything is started.
    """
    specs, methods = plan(config, patient=False)
    console.print(f"{config.dataset}: {len(specs)} images, {len(methods)} methods, preset {config.preset}")
    with console.status("starting the Prefect server"):
        for module in ("fastapi", "scipy.ndimage"):  # the flow will need them: load them while the server starts
            importlib.import_module(module)
        if server:
            server.wait()
    if server:
        console.print(f"watch it at {server.api_url.removesuffix('/api')} while it runs")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        line = bar.add_task("steps", total=None)
        last = [0, 0, 0]

        def show(done: int, cached: int, total: int) -> None:
            last[:] = done, cached, total
            bar.update(line, completed=done, total=total, description=f"steps ({cached} cached)")

        token = on_progress.set(show)
        try:
            state = _run(config, flow_run() if flow_run else None)
        finally:
            on_progress.reset(token)
    return _finish(config, state, last, console)


def _run(config: BenchmarkConfig, flow_run: FlowRun | None) -> State:
    if flow_run is None:
        return benchmark(config, return_state=True)
    return cast("State", run_flow(benchmark, flow_run, parameters={"config": config}, return_type="state"))


def _finish(config: BenchmarkConfig, state: State, steps: list[int], console: Console) -> int:
    if "report: " not in (state.message or ""):  # the flow itself broke, not a region
        state.result()
        raise RuntimeError(f"the flow ended {state.name} without a report")
    folder = RunFolder.of(run_id(config, str(state.state_details.flow_run_id)), config.store)
    rows = read(folder.run_id, config.store)
    console.print(f"{steps[0]} steps, {steps[1]} of them cached")
    print_comparison(rows, console)
    console.print(f"picture: {folder.store.uri_of(CONTACT_SHEET)}", soft_wrap=True)
    console.print(f"report: {folder.store.uri_of(REPORT)}", soft_wrap=True, highlight=False)
    return 0 if set(rows["status"]) == {"ok"} else 1
