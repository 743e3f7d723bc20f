"""The command line: registers every command."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from typing import Annotated

import typer

from flows.cli import datasets, methods, photo, weights
from mkgan_core.errors import ConfigError

PIPELINE = ("prefect", "pandas", "pyarrow", "matplotlib", "tabulate")  # packages of the extra of that name


def _refuse(context: typer.Context) -> None:
    """Not installed: pip install 'mkgan[pipeline]'."""
    raise ConfigError(
        f"mkgan {context.info_name} needs packages that are not installed; install them: pip install 'mkgan[pipeline]'"
    )


app = typer.Typer(
    help="Blind super-resolution by internal learning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mkgan {importlib.metadata.version('mkgan')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="print the version")
    ] = False,
) -> None:
    pass


for command in (photo.upscale, photo.segment, photo.estimate, methods.methods):
    app.command()(command)
if all(importlib.util.find_spec(package) for package in PIPELINE):
    from flows.cli import benchmark, operate, reports, store

    for command in (
        benchmark.benchmark,
        reports.report,
        reports.compare,
        reports.export,
        reports.runs,
        operate.serve,
        operate.deploy,
        operate.retry,
        operate.doctor,
    ):
        app.command()(command)
    app.add_typer(store.app, name="store")
else:
    as_given = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
    for name in ("benchmark", "report", "compare", "export", "runs", "serve", "deploy", "retry", "doctor", "store"):
        app.command(name, context_settings=as_given)(_refuse)
app.add_typer(weights.app, name="weights")
app.add_typer(datasets.app, name="dataset")
