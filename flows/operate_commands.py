"""`mkgan serve`, `deploy`, `retry` and `doctor`: running benchmarks on a Prefect server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from flows.options import RunName, StoreUri
from flows.terminal import make_console
from mkgan_core.errors import ConfigError

if TYPE_CHECKING:
    from flows.deployment import Settings

console = make_console()

Div2krk = Annotated[
    str | None,
    typer.Option(envvar="MKGAN_DIV2KRK", help="the data set of the scheduled runs; default: data/div2krk"),
]
GpuSlots = Annotated[
    int | None,
    typer.Option(
        envvar="MKGAN_GPU_SLOTS",
        min=1,
        help="steps that train at once, over all runs, and regions per batch; default: what is set, else 16 per GPU, "
        "else one per core",
    ),
]
NotifyUrl = Annotated[
    str | None, typer.Option(envvar="MKGAN_NOTIFY_URL", help="webhook that is called when a run fails or crashes")
]
ZombieAfter = Annotated[
    int, typer.Option(envvar="MKGAN_ZOMBIE_AFTER", min=30, help="seconds without a sign of life until a run is crashed")
]


def serve(
    host: Annotated[str, typer.Option(envvar="MKGAN_HOST", help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="MKGAN_PORT", min=1, max=65535, help="port of API and UI")] = 4200,
    runs: Annotated[int, typer.Option(envvar="MKGAN_RUNS", min=1, help="runs at once; the others wait")] = 2,
    div2krk: Div2krk = None,
    gpu_slots: GpuSlots = None,
    notify_url: NotifyUrl = None,
    zombie_after: ZombieAfter = 300,
    store: StoreUri = None,
) -> None:
    """Run Prefect server, UI and worker on this machine, with all deployments, until Ctrl-C."""
    from flows import serve as serving

    def set_up() -> list[str]:
        from flows import deployment  # imports Prefect, now that its address is known

        return deployment.set_up(_settings(div2krk, store, gpu_slots, notify_url, zombie_after))

    raise typer.Exit(serving.serve(host, port, runs, set_up, lambda line: console.print(line, highlight=False)))


def deploy(
    div2krk: Div2krk = None,
    gpu_slots: GpuSlots = None,
    notify_url: NotifyUrl = None,
    zombie_after: ZombieAfter = 300,
    store: StoreUri = None,
) -> None:
    """Put pool, queues, GPU slots, result storage, automations and deployments on an existing Prefect server."""
    api_url = _server()
    from flows import deployment

    for line in deployment.set_up(_settings(div2krk, store, gpu_slots, notify_url, zombie_after)) or ["nothing to do"]:
        console.print(line, soft_wrap=True, highlight=False)
    console.print(f"deployed to {api_url}; on each machine: prefect worker start --pool {deployment.POOL}")


def retry(run: RunName, store: StoreUri = None) -> None:
    """Run the failed regions of an earlier run again, and score their images; all else is cached.

    A deployment's run goes back to its work pool, as with the UI's Retry button; any other is run here and now.
    """
    from flows import retry as retrying
    from flows.config import default_store
    from flows.server import ensure_prefect_api

    earlier = retrying.find(run, store or default_store())
    server = ensure_prefect_api()
    from flows.run import run_benchmark  # imports Prefect, now that its address is known

    if server is None and retrying.read_flow_run(earlier).deployment_id:
        flow_run = retrying.put_back(earlier, here=False)
        console.print(f"'{flow_run.name}' is scheduled again; a worker of {flow_run.work_pool_name} takes it")
        return
    again = lambda: retrying.put_back(earlier, here=server is not None)  # noqa: E731
    raise typer.Exit(run_benchmark(earlier.config, server, console, again))


def doctor(div2krk: Div2krk = None, store: StoreUri = None) -> None:
    """Check this machine and its Prefect server; says what to do about each fault. Exit code 1 if there is one."""
    from rich.table import Table

    from flows import doctor as examination

    table = Table("check", "", "found", "remedy")
    colours = {"ok": "green", "note": "yellow", "wrong": "bold red"}
    findings = list(examination.examine(store, div2krk))
    for finding in findings:
        state = f"[{colours[finding.state]}]{finding.state}[/]"
        table.add_row(finding.check, state, escape(finding.found), escape(finding.remedy))
    console.print(table)
    wrong = sum(finding.state == "wrong" for finding in findings)
    console.print(f"{wrong} thing{'s' * (wrong != 1)} wrong" if wrong else "nothing is wrong")
    raise typer.Exit(1 if wrong else 0)


def _server() -> str:
    """Address of the configured server's API.

    Raises:
        ConfigError: if there is none, or it does not answer.
    """
    from flows.server import answers, use_configured_api

    api_url = use_configured_api()
    if api_url is None:
        raise ConfigError("no Prefect server: set PREFECT_API_URL (http://HOST:4200/api), or start mkgan serve")
    if not answers(api_url):
        raise ConfigError(f"no Prefect server answers at {api_url}; start it, or set PREFECT_API_URL to another")
    return api_url


def _settings(
    div2krk: str | None, store: str | None, gpu_slots: int | None, notify_url: str | None, zombie_after: int
) -> Settings:
    from flows import deployment
    from flows.config import default_store, home

    return deployment.Settings(
        div2krk=div2krk or str(home() / "div2krk"),
        store=store or default_store(),
        gpu_slots=gpu_slots,
        notify_url=notify_url,
        zombie_after=zombie_after,
    )
