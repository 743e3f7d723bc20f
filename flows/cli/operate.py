"""`mkgan serve`, `deploy`, `retry` and `doctor`: running benchmarks on a Prefect server."""

from __future__ import annotations

from typing import Annotated

import typer

from deployments.settings import DataSettings, DeploySettings
from flows.cli.display import Display, Quiet, Verbose
from flows.cli.model_options import options_of
from flows.cli.options import RunName, StoreUri
from flows.cli.terminal import make_console, print_line
from mkgan_core.errors import ConfigError
from mkgan_core.machine.plain_text import one_line

console = make_console()
_COLOURS = {"ok": "green", "note": "yellow", "wrong": "bold red"}


@options_of(DeploySettings)
def serve(
    settings: DeploySettings,
    host: Annotated[str, typer.Option(envvar="MKGAN_HOST", help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="MKGAN_PORT", min=1, max=65535, help="port of the API and UI")] = 4200,
    runs: Annotated[int, typer.Option(envvar="MKGAN_RUNS", min=1, help="largest number of runs at a time")] = 2,
) -> None:
    """Run a Prefect server, UI and worker on this machine. Creates all deployments; Ctrl-C ends it."""
    from deployments import serve as serving

    def set_up() -> list[str]:
        from deployments import set_up  # imports Prefect, which reads the server's address: only now is it known

        return set_up.set_up(settings)

    raise typer.Exit(serving.serve(host, port, runs, set_up, _say))


@options_of(DeploySettings)
def deploy(settings: DeploySettings) -> None:
    """Set up an existing Prefect server. Creates pool, queues, GPU slots, result storage, automations, deployments."""
    api_url = _server()
    from deployments import set_up

    for line in set_up.set_up(settings) or ["nothing to do"]:
        _say(line)
    _say(f"deployed to {api_url}; start a worker on each machine: prefect worker start --pool {set_up.POOL}")


def retry(run: RunName, store: StoreUri = None, quiet: Quiet = False, verbose: Verbose = False) -> None:
    """Rerun the failed regions of an earlier run. Everything else comes from the cache.

    A deployment's run goes back to its work pool, as with the UI's Retry button; any other run starts here at once.
    """
    from deployments.server import ensure_prefect_api
    from flows import retry as retrying
    from mkgan_core.machine.places import default_store

    earlier = retrying.find(run, store or default_store())
    server = ensure_prefect_api()
    from flows.cli.run import run_benchmark  # imports Prefect, which reads the server's address: only now is it known

    if server is None and retrying.read_flow_run(earlier).deployment_id:
        flow_run = retrying.put_back(earlier, here=False)
        console.print(f"'{flow_run.name}' is scheduled again; a worker of pool {flow_run.work_pool_name} will run it")
        return
    display = Display(quiet, verbose)
    code = run_benchmark(earlier.config, server, display, lambda: retrying.put_back(earlier, here=server is not None))
    raise typer.Exit(code)


@options_of(DataSettings)
def doctor(settings: DataSettings) -> None:
    """Check this machine and its Prefect server. Gives a remedy for each problem; exit code 1 if there is one."""
    from rich.table import Table
    from rich.text import Text

    from deployments.doctor import examine

    table = Table("check", "", "found", "remedy")
    wrong = 0
    try:
        for finding in examine(settings.store, settings.div2krk):
            state = Text(finding.state, _COLOURS[finding.state])
            table.add_row(one_line(finding.check), state, one_line(finding.found), one_line(finding.remedy))
            wrong += finding.state == "wrong"
    finally:
        console.print(table)
    console.print(f"{wrong} problem{'s' * (wrong != 1)} found" if wrong else "no problems found")
    raise typer.Exit(1 if wrong else 0)


def _say(line: str) -> None:
    print_line(console, line)


def _server() -> str:
    """Address of the configured server's API.

    Raises:
        ConfigError: if there is none, or it does not answer.
    """
    from deployments.server import check_configured, use_configured_api

    api_url = use_configured_api()
    if api_url is None:
        raise ConfigError(
            "mkgan deploy needs a Prefect server, but none is configured; set PREFECT_API_URL to its address "
            "(http://HOST:4200/api), or run mkgan serve instead"
        )
    check_configured(api_url)
    return api_url
