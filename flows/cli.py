"""The command line `mkgan`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import dataset_commands, operate_commands, weights_commands
from flows.options import Html, Pairs, RunName, Scale, Seed, StoreUri, parse_pair
from flows.terminal import make_console
from mkgan_core import environment, weights
from mkgan_core.errors import ConfigError, MkganError

if TYPE_CHECKING:
    from flows.config import BenchmarkConfig
    from mkgan_core.runs import Run

app = typer.Typer(
    help="Blind super-resolution by internal learning.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)
app.add_typer(weights_commands.app, name="weights")
app.add_typer(dataset_commands.app, name="dataset")
for command in (operate_commands.serve, operate_commands.deploy, operate_commands.retry, operate_commands.doctor):
    app.command()(command)
console = make_console()

Dataset = Annotated[
    str, typer.Option(envvar="MKGAN_DATASET", help="sample, sample-two-blur, or a folder or URL in the DIV2KRK layout")
]
Preset = Annotated[str, typer.Option(envvar="MKGAN_PRESET", help="fast, best or paper")]
Device = Annotated[str, typer.Option(envvar="MKGAN_DEVICE", help="auto, cpu or cuda")]
Images = Annotated[list[Path], typer.Argument(help="image files")]
Out = Annotated[Path, typer.Option(envvar="MKGAN_OUT", help="folder for the results")]
Masks = Annotated[
    list[Path] | None, typer.Option(envvar="MKGAN_MASK", help="mask of an object, white on it, of the image's size")
]
WeightFiles = Annotated[
    str | None,
    typer.Option(
        "--weights",
        envvar="MKGAN_WEIGHTS",
        callback=lambda value: weights.use(value),
        help="network weights: files or folders, separated like PATH",
    ),
]
PerObject = Annotated[
    bool, typer.Option(envvar="MKGAN_PER_OBJECT", help="yolo-sam, yolo-grabcut: one region per object, not their union")
]


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
    runner: Annotated[str, typer.Option(envvar="MKGAN_RUNNER", help="threads, processes or dask")] = "threads",
    dask_address: Annotated[
        str | None,
        typer.Option(envvar="MKGAN_DASK_ADDRESS", help="for dask: the scheduler; without it a cluster on this machine"),
    ] = None,
    device: Device = "auto",
    weight_files: WeightFiles = None,
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
        "dask_address": dask_address,
        "device": device,
    }
    config = _config({name: value for name, value in options.items() if value not in (None, [])})
    from flows.server import ensure_prefect_api

    server = ensure_prefect_api()
    from flows.run import run_benchmark  # imports Prefect, while the server starts

    raise typer.Exit(run_benchmark(config, server, console))


@app.command()
def upscale(
    images: Images,
    out: Out = Path("out"),
    scale: Scale = 2,
    method: Annotated[str, typer.Option(envvar="MKGAN_METHOD", help="a method's name")] = "kernelgan+zssr",
    mask: Masks = None,
    preset: Preset = "fast",
    real: Annotated[
        bool, typer.Option(envvar="MKGAN_REAL", help="a photograph with noise: noisy sons, no back-projection")
    ] = False,
    seed: Seed = 0,
    per_object: PerObject = False,
    feather: Annotated[
        float, typer.Option(envvar="MKGAN_FEATHER", min=0, help="blend regions over so many pixels; 0 for hard borders")
    ] = 0.0,
    weight_files: WeightFiles = None,
) -> None:
    """Enlarge images; writes <name>_x<scale>.png."""
    from flows import single
    from mkgan_core import images as pictures
    from mkgan_core import method as methods

    chosen = methods.parse(method)
    _check(scale=scale, preset=preset)
    splitter = "mask" if mask else chosen.segmenter
    segmenter = single.make_segmenter(splitter, preset, per_object=per_object, with_masks=bool(mask))
    loaded = single.read_images(images, chosen)
    given = single.read_masks(mask or [], loaded)
    store = single.output_folder(out)
    if splitter != "whole":
        console.print(f"segmenter: {splitter}")
    for name, image in loaded:
        found = single.split(image, segmenter, splitter, given)
        if found.note:
            console.print(f"{name}: {found.note}", soft_wrap=True)
        large = single.enlarge(image, found.regions, chosen, scale, preset, real=real, seed=seed, feather=feather)
        console.print(store.write(f"{name}_x{scale}.png", pictures.encode_png(large)), soft_wrap=True)


@app.command()
def segment(
    images: Images,
    segmenter: Annotated[str, typer.Option(envvar="MKGAN_SEGMENTER", help="a segmenter's name")],
    out: Out = Path("out"),
    scale: Scale = 2,
    preset: Preset = "fast",
    mask: Masks = None,
    per_object: PerObject = False,
    weight_files: WeightFiles = None,
) -> None:
    """Split images into object and background; writes four masks and an overlay per image."""
    from flows import single
    from mkgan_core import method as methods

    segmenter = methods.resolve_auto() if segmenter == "auto" else segmenter
    methods.check_part("segmenter", segmenter)
    _check(scale=scale, preset=preset)
    part = single.make_segmenter(segmenter, preset, per_object=per_object, with_masks=bool(mask))
    loaded = single.read_images(images)
    given = single.read_masks(mask or [], loaded)
    store = single.output_folder(out)
    for name, image in loaded:
        found = single.split(image, part, segmenter, given)
        parts = ", ".join(f"{r.name} {r.area / image[..., 0].size:.0%}" for r in found.regions)
        console.print(f"{name}, {segmenter}: {parts}")
        if found.note:
            console.print(f"{name}: {found.note}", soft_wrap=True)
        for uri in single.save_masks(store, name, image, found.regions, scale):
            console.print(uri, soft_wrap=True)


@app.command()
def estimate(
    images: Images,
    estimator: Annotated[str, typer.Option(envvar="MKGAN_ESTIMATOR", help="an estimator's name")],
    scale: Scale = 2,
    preset: Preset = "fast",
    seed: Seed = 0,
    mask: Masks = None,
    out: Out = Path("out"),
) -> None:
    """Estimate the blur kernel of images, or of each masked region; writes .npy, .mat and .png."""
    from flows import single
    from mkgan_core import method as methods

    methods.check_part("estimator", estimator)
    _check(scale=scale, preset=preset)
    splitter = "mask" if mask else "whole"
    segmenter = single.make_segmenter(splitter, preset, with_masks=bool(mask))
    loaded = single.read_images(images, methods.Method("", "whole", estimator, "bicubic"))
    given = single.read_masks(mask or [], loaded)
    store = single.output_folder(out)
    for name, image in loaded:
        for region in single.split(image, segmenter, splitter, given).regions:
            kernel = single.estimate(image, region, estimator, scale, preset, seed).kernel
            suffix = "" if region.name == "whole" else f"_{region.name}"
            for uri in single.save_kernel(store, f"{name}{suffix}_x{scale}_kernel", kernel):
                console.print(uri, soft_wrap=True)


@app.command()
def report(run: RunName, html: Html = None, pair: Pairs = None, store: StoreUri = None) -> None:
    """Print the comparison and the paired statistics of an earlier run; with --html write them as a page."""
    from flows.config import default_store
    from mkgan_core import runs

    _show(runs.open_run(run, store or default_store()), pair, html)


@app.command()
def compare(first: RunName, second: RunName, html: Html = None, pair: Pairs = None, store: StoreUri = None) -> None:
    """Put two runs side by side, on the images that both have."""
    from flows.config import default_store
    from mkgan_core import runs

    place = store or default_store()
    _show(runs.beside(runs.open_run(first, place), runs.open_run(second, place)), pair, html)


def _show(run: Run, pairs: list[str] | None, html: Path | None) -> None:
    """Print a run's tables; write its page.

    Raises:
        ConfigError: for a pair that is no pair of the run's methods.
    """
    from flows.terminal import print_comparison, print_statistics

    run = run.with_pairs([parse_pair(text, run.rows["method"].unique()) for text in pairs or []])
    print_comparison(run.rows, console, run.title)
    print_statistics(run, console)
    if html:
        from mkgan_core import page

        page.write(run, html)
        console.print(f"page: {html.absolute().as_uri()}", soft_wrap=True, highlight=False)


@app.command()
def methods() -> None:
    """List the parts that methods are made of, and the named methods."""
    from mkgan_core import method

    for kind, registry in method.REGISTRIES.items():
        console.print(f"{kind}s: {', '.join(registry)}")
    console.print("presets: " + ", ".join(method.PRESETS))
    console.print(f"auto segmenter (multi-...): {method.resolve_auto()}")
    if lacking := [name for name in method.SEGMENTERS if method.lacking("segmenter", name)]:
        console.print(f"segmenters that lack weights or a package, and say so when used: {', '.join(lacking)}")
    usage = "a method is [segmenter/][estimator+]upscaler; multi-X+Y is auto/X+Y. By default a benchmark runs:"
    console.print(usage, markup=False)
    for name in method.DEFAULT_METHODS:
        console.print(f"  {name}")


def _config(options: dict) -> BenchmarkConfig:
    """The options as a checked configuration.

    Raises:
        ConfigError: naming the option.
    """
    from pydantic import ValidationError

    from flows.config import BenchmarkConfig

    try:
        return BenchmarkConfig(**options)
    except ValidationError as fault:
        first = fault.errors()[0]
        name = first["loc"][0] if first["loc"] else "option"
        raise ConfigError(f"--{name} {first['input']!r}: {first['msg'].lower()}") from fault


def _check(*, scale: int, preset: str) -> None:
    """Refuse options that no registry knows."""
    from mkgan_core.datasets import SCALES
    from mkgan_core.method import PRESETS

    if scale not in SCALES:
        raise ConfigError(f"--scale {scale}: choose 2 or 4")
    if preset not in PRESETS:
        raise ConfigError(f"--preset '{preset}': choose {' or '.join(PRESETS)}")


def main() -> None:
    """Entry point: bad input ends with one line on stderr and exit code 2."""
    environment.share_memory()
    try:
        app()
    except MkganError as fault:
        print("error: " + " ".join(str(fault).split()), file=sys.stderr)
        sys.exit(2)
