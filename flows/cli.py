"""The command line `mkgan`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from flows.terminal import make_console
from mkgan_core.errors import MkganError

if TYPE_CHECKING:
    from flows.config import BenchmarkConfig

app = typer.Typer(
    help="Blind super-resolution by internal learning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
console = make_console()

Dataset = Annotated[
    str, typer.Option(envvar="MKGAN_DATASET", help="sample, sample-two-blur, or a folder or URL in the DIV2KRK layout")
]
Scale = Annotated[int, typer.Option(envvar="MKGAN_SCALE", help="enlargement factor: 2 or 4")]
Preset = Annotated[str, typer.Option(envvar="MKGAN_PRESET", help="fast or paper")]
StoreUri = Annotated[str | None, typer.Option(envvar="MKGAN_STORE", help="where artifacts and reports go")]
Device = Annotated[str, typer.Option(envvar="MKGAN_DEVICE", help="auto, cpu or cuda")]
Seed = Annotated[int, typer.Option(envvar="MKGAN_SEED", help="the (first) seed")]


@app.command()
def benchmark(
    dataset: Dataset = "sample",
    scale: Scale = 2,
    method: Annotated[
        list[str] | None, typer.Option(envvar="MKGAN_METHOD", help="a method's name; may be repeated")
    ] = None,
    preset: Preset = "fast",
    seeds: Annotated[int, typer.Option(envvar="MKGAN_SEEDS", help="how many seeds")] = 1,
    seed: Seed = 0,
    limit: Annotated[int | None, typer.Option(envvar="MKGAN_LIMIT", help="at most so many images")] = None,
    images: Annotated[str, typer.Option(envvar="MKGAN_IMAGES", help="only these image IDs, comma-separated")] = "",
    store: StoreUri = None,
    runner: Annotated[str, typer.Option(envvar="MKGAN_RUNNER", help="threads or processes")] = "threads",
    device: Device = "auto",
) -> None:
    """Run methods on a data set and print the comparison; the last line names the report."""
    options = {
        "dataset": dataset,
        "scale": scale,
        "methods": method,
        "preset": preset,
        "seeds": seeds,
        "seed": seed,
        "limit": limit,
        "images": [name.strip() for name in images.split(",") if name.strip()],
        "store": store,
        "runner": runner,
        "device": device,
    }
    config = _config({name: value for name, value in options.items() if value not in (None, [])})
    from flows.server import ensure_prefect_api

    server = ensure_prefect_api()
    from flows.run import run_benchmark  # imports Prefect, while the server starts

    raise typer.Exit(run_benchmark(config, server, console))


@app.command()
def report(
    run: Annotated[str, typer.Argument(help="a run id, or the URI of its report.parquet")], store: StoreUri = None
) -> None:
    """Print the comparison table of an earlier run."""
    from flows.config import default_store
    from flows.terminal import print_comparison
    from mkgan_core import report as reports

    print_comparison(reports.read(run, store or default_store()), console)


@app.command()
def methods() -> None:
    """List the parts that methods are made of, and the named methods."""
    from mkgan_core import method

    for kind, registry in method.REGISTRIES.items():
        console.print(f"{kind}s: {', '.join(registry)}")
    console.print("presets: " + ", ".join(method.PRESETS))
    console.print(f"auto segmenter (multi-...): {method.resolve_auto()}")
    console.print("a method is [segmenter/][estimator+]upscaler; multi-X+Y is auto/X+Y. By default a benchmark runs:")
    for name in method.DEFAULT_METHODS:
        console.print(f"  {name}")


def _config(options: dict) -> BenchmarkConfig:
    """The options as a checked configuration.

    Raises:
        ConfigError: naming the option.
    """
    from pydantic import ValidationError

    from flows.config import BenchmarkConfig
    from mkgan_core.errors import ConfigError

    try:
        return BenchmarkConfig(**options)
    except ValidationError as fault:
        first = fault.errors()[0]
        name = first["loc"][0] if first["loc"] else "option"
        raise ConfigError(f"--{name} {first['input']!r}: {first['msg'].lower()}") from fault


def main() -> None:
    """Entry point: bad input ends with one line on stderr and exit code 2."""
    try:
        app()
    except MkganError as fault:
        print("error: " + " ".join(str(fault).split()), file=sys.stderr)
        sys.exit(2)
