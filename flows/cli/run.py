"""Running the flow from a terminal: progress, the table, the exit code."""

from __future__ import annotations

import importlib
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.flow_engine import run_flow

from deployments import own_runs
from deployments.embedded import EmbeddedServer
from deployments.server import own_state
from flows.benchmark import benchmark, plan
from flows.cli.display import Display, Shown
from flows.cli.interruption import attended
from flows.cli.signals import end_now
from flows.cli.terminal import print_comparison
from flows.config import BenchmarkConfig
from flows.names import run_id, short_name
from flows.progress import Standing, on_progress
from mkgan_core.importing import importing
from mkgan_core.machine.progress import listening
from mkgan_core.pipeline.method import parse
from mkgan_core.reports import ranking
from mkgan_core.reports.runs import CONTACT_SHEET, PAGE, REPORT, RunFolder, read

if TYPE_CHECKING:
    import pandas as pd


def run_benchmark(
    config: BenchmarkConfig,
    server: EmbeddedServer | None,
    display: Display,
    flow_run: Callable[[], FlowRun] | None = None,
) -> int:
    """Check the configuration, run it and print the result; return the exit code: 0 success, 1 some regions failed.

    If the server dies and cannot be restarted, the process ends at once with exit code 2.

    Args:
        config: what to run.
        server: the server that is starting; None if one is running already.
        display: the terminal.
        flow_run: called once the server answers; returns the flow run to continue. None starts a new one.

    Raises:
        MkganError: for bad input, before anything starts.
        Interrupted: after a signal.
    """
    specs, methods = plan(config, patient=False)
    display.line(f"{config.dataset}: {len(specs)} images, {len(methods)} methods, preset {config.preset}")
    watched = _Watched()

    if server:
        server.tell(display.line)

    def work() -> State:
        for module in ("fastapi", "scipy.ndimage"):  # the flow needs them; load them while the server starts
            with importing:
                importlib.import_module(module)
        if server:
            server.wait()
            own_runs.mark_crashed(server.state)
            display.line(f"watch the run at {server.api_url.removesuffix('/api')}")
        on_progress.set(watched.stand)
        run = flow_run() if flow_run else _new(config)
        with _noted(run), listening(watched.hear):
            # calling the flow directly would create a run that is not noted yet
            return cast("State", run_flow(benchmark, run, parameters={"config": config}, return_type="state"))

    def shown() -> Shown:
        if server and server.lost:
            raise _ServerLost(f"{server.lost}; {watched.kept()}")
        return watched.shown()

    try:
        state = attended(work, display, shown, watched.kept)
    except _ServerLost as fault:
        display.error(str(fault))
        end_now(2)  # a clean shutdown would take minutes, because everything waits for the server
    return _finish(config, state, watched.standing, display)


def _new(config: BenchmarkConfig) -> FlowRun:
    with get_client(sync_client=True) as client:
        parameters = benchmark.serialize_parameters({"config": config})
        return client.create_flow_run(benchmark, parameters=parameters, tags=tags(config))


def tags(config: BenchmarkConfig) -> list[str]:
    """Tags by which the UI finds runs from a terminal, such as those of the deployments' runs."""
    return ["terminal", "benchmark", short_name(config.dataset), f"x{config.scale}", config.preset]


@contextmanager
def _noted(run: FlowRun) -> Iterator[None]:
    """During the block, other commands with the same home folder see that the run has a process."""
    if state := own_state():
        with own_runs.noted(state, run.id):
            yield
    else:
        yield


class _ServerLost(Exception):
    """The server is gone, and running steps would wait for it for minutes."""


class _Watched:
    """The state of the run while it runs."""

    def __init__(self) -> None:
        self._step = ""
        self.standing: Standing | None = None

    def stand(self, standing: Standing) -> None:
        """Note how many rows are finished."""
        self.standing = standing

    def hear(self, label: str, share: float) -> None:
        """Note what a step is doing."""
        self._step = f"{label} {share:.0%}" if share else label

    def shown(self) -> Shown:
        """The progress line for the terminal."""
        now = self.standing
        if now is None:
            return "starting", 0.0, None
        if now.rows == now.of:
            return "writing the report", 1.0, None
        step = self._step or f"{now.steps} steps done"
        return f"{now.rows}/{now.of} rows: {step}", now.rows / now.of, now.left_s

    def kept(self) -> str:
        """What an interrupted run leaves, and how to continue."""
        now = self.standing
        if not now:
            return "nothing was started"
        return (
            f"{now.rows} of {now.of} rows are finished, and finished steps are kept. "
            f"To continue, repeat the command or run: mkgan retry {now.run}"
        )


def _next(rows: pd.DataFrame) -> list[str]:
    """Suggestions for commands after a run."""
    run = shlex.quote(rows["run_id"].iloc[0])
    steps = [("retry what failed", f"mkgan retry {run}")] if set(rows["status"]) != {"ok"} else []
    steps += [
        ("look at the images", "open the page below in a browser"),
        ("images and tables as files", f"mkgan export {run} out/{run}"),
    ]
    name = ranking.best(rows)
    if name and parse(name).segmenter != "given":
        steps.append(("enlarge an image of your own", f"mkgan upscale IMAGE --method {shlex.quote(name)}"))
    width = max(len(what) for what, _ in steps)
    return ["next:", *(f"  {what:<{width}}  {how}" for what, how in steps)]


def _finish(config: BenchmarkConfig, state: State, standing: Standing | None, display: Display) -> int:
    if "report: " not in (state.message or ""):  # the flow itself failed, not a region
        state.result()
        raise RuntimeError(f"the flow ended {state.name} without a report")
    folder = RunFolder.of(run_id(config, str(state.state_details.flow_run_id)), config.store)
    rows = read(folder.run_id, config.store)
    if standing:
        display.line(f"{standing.steps} steps, {standing.cached} of them cached")
    if not display.quiet:
        print_comparison(rows, display.console)
    for line in _next(rows):
        display.line(line)
    display.line(f"picture: {folder.store.uri_of(CONTACT_SHEET)}")
    if folder.store.exists(PAGE):
        display.line(f"page: {folder.store.uri_of(PAGE)}")
    display.line(f"report: {folder.store.uri_of(REPORT)}")
    return 0 if set(rows["status"]) == {"ok"} else 1
