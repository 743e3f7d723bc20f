"""All commands under their names."""

from __future__ import annotations

import typer

from flows.cli import benchmark, datasets, methods, operate, photo, reports, weights

app = typer.Typer(
    help="Blind super-resolution by internal learning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
for command in (
    benchmark.benchmark,
    photo.upscale,
    photo.segment,
    photo.estimate,
    reports.report,
    reports.compare,
    methods.methods,
    operate.serve,
    operate.deploy,
    operate.retry,
    operate.doctor,
):
    app.command()(command)
app.add_typer(weights.app, name="weights")
app.add_typer(datasets.app, name="dataset")
