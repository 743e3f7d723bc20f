"""`mkgan dataset make` and `mkgan dataset check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.cli.display import Display, Quiet, Verbose
from flows.cli.options import Seed, TrustWeights, parse_scale
from flows.cli.terminal import make_console, print_line

if TYPE_CHECKING:
    from mkgan_core.datasets.maker import Law
    from mkgan_core.datasets.object_masks import MaskSource

app = typer.Typer(help="Make data sets of degraded images, and check data sets.", no_args_is_help=True)

Scales = Annotated[
    list[int] | None,
    typer.Option("--scale", envvar="MKGAN_SCALE", parser=parse_scale, help="2 or 4; may be repeated; default: both"),
]


@app.command()
def make(
    hr_dir: Annotated[str, typer.Argument(help="folder or URL with high-resolution images")],
    out: Annotated[
        str, typer.Argument(help="folder or URL for the data set: a new one, or one started with the same options")
    ],
    kind: Annotated[str, typer.Option(envvar="MKGAN_KIND", help="kind of degradation: div2krk, two-blur or motion")],
    scale: Scales = None,
    seed: Seed = 0,
    masks: Annotated[
        str | None,
        typer.Option(
            envvar="MKGAN_MASKS",
            help="two-blur: folder with one mask per image, <id>.png, same size as the image, white on the object",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            envvar="MKGAN_OBJECT_WEIGHTS",
            help="two-blur: weights of a YOLO segmentation network that finds the objects",
        ),
    ] = None,
    trust_weights: TrustWeights = False,
    per_object: Annotated[
        bool,
        typer.Option(
            envvar="MKGAN_PER_OBJECT",
            help="two-blur: one blur per object, not one for all; --masks may have <id>-2.png, <id>-3.png, ... too",
        ),
    ] = False,
    kernels: Annotated[
        Path | None,
        typer.Option(
            envvar="MKGAN_KERNELS", help="motion: .mat file with a variable 'kernels'; default: random motion paths"
        ),
    ] = None,
    noise: Annotated[
        float, typer.Option(envvar="MKGAN_NOISE", help="standard deviation of added noise, for values up to 255")
    ] = 0.0,
    jpeg: Annotated[
        int | None, typer.Option(envvar="MKGAN_JPEG", help="JPEG quality of the low-resolution images")
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Degrade images into a data set in the DIV2KRK layout; an interrupted command resumes when you repeat it."""
    from mkgan_core.datasets.kernel_laws import read_motion_kernels
    from mkgan_core.datasets.layout import open_file
    from mkgan_core.datasets.maker import Law
    from mkgan_core.machine import trust
    from mkgan_core.machine.storage import sha256

    trust.trust_weights(trust_weights)
    options: dict[str, Any] = {"kind": kind, "scales": tuple(sorted(set(scale or (2, 4)))), "seed": seed}
    options |= {"noise": noise, "jpeg": jpeg}
    Law(**options, masks="" if masks or weights else None, motion_kernels="" if kernels else None)  # before any loading
    source = _mask_source(masks, weights, per_object)
    motion_kernels = []
    if kernels:
        _, data = open_file(kernels.absolute().as_posix())
        motion_kernels, options["motion_kernels"] = read_motion_kernels(data, str(kernels)), sha256(data)
    law = Law(**options, masks=source.about if source else None)
    _make(hr_dir, out, law, source, motion_kernels, Display(quiet, verbose))


def _mask_source(masks: str | None, weights: Path | None, per_object: bool) -> MaskSource | None:
    from mkgan_core.datasets.object_masks import MaskFolder, YoloMasks
    from mkgan_core.errors import ConfigError

    if masks and weights:
        raise ConfigError("--masks and --weights: give one of them")
    if masks:
        return MaskFolder(masks, per_object)
    if weights:
        return YoloMasks(weights, per_object=per_object)
    if per_object:
        raise ConfigError("--per-object works only with --kind two-blur; change the kind, or leave out --per-object")
    return None


def _make(hr_dir: str, out: str, law: Law, masks: MaskSource | None, motion_kernels: list, display: Display) -> None:
    from flows.cli.interruption import attended
    from flows.cli.pictures import Progress
    from mkgan_core.datasets.maker import DatasetMaker
    from mkgan_core.machine.progress import check as check_stopped

    counts = {"made": 0, "already present": 0, "left out": 0}
    progress = Progress()

    def note(record: dict[str, Any], was_done: bool) -> None:
        counts["left out" if not record["files"] else "already present" if was_done else "made"] += 1
        if record["note"]:
            display.line(f"{record['image']} left out: {record['note']}", style="yellow")
        progress.end(worked=not was_done)
        check_stopped()
        begin()

    def begin() -> None:
        if progress.done < progress.of:
            progress.begin(maker.photographs[progress.done].name)

    def work() -> str:
        nonlocal maker
        progress.begin("reading the images")
        maker = DatasetMaker(hr_dir, out, law, masks, motion_kernels)
        progress.of = len(maker.photographs)
        begin()
        maker.make(note)
        return maker.target.uri

    def kept() -> str:
        if not progress.of:
            return "nothing was made"
        return f"{progress.done} of {progress.of} images are finished, in {out}. To continue, repeat the command"

    maker: Any = None
    uri = attended(work, display, progress.standing, kept)
    display.line(", ".join(f"{count} {what}" for what, count in counts.items()))
    display.line(f"data set: {uri}")


@app.command()
def check(
    uri: Annotated[str, typer.Argument(help="folder or URL in the DIV2KRK layout")],
    scale: Scales = None,
) -> None:
    """Check every image: pairs, sizes, alpha, kernel convention, and whether the low resolution can be reproduced.

    Exit code 1 if an image has a problem.
    """
    from mkgan_core.datasets.check import check as findings
    from mkgan_core.machine.plain_text import one_line

    console = make_console()
    console.print(f"{'image':<16} scale  low-resolution  alpha  kernel        regenerated", highlight=False)
    problems = count = 0
    for found in findings(uri, scale or ()):
        count += 1
        problems += found.problem is not None
        size = f"{found.size[1]}x{found.size[0]}" if found.size else "-"
        again = "-" if found.regeneration is None else f"{found.regeneration:.2f} dB"
        alpha, kernel = "yes" if found.alpha else "no", found.convention or "none"
        name = one_line(found.image)
        print_line(console, f"{name:<16} x{found.scale:<5} {size:<15} {alpha:<6} {kernel:<13} {again}")
        if found.problem:
            print_line(console, f"  problem: {found.problem}", "red")
    console.print(f"{count} images checked, {problems} with a problem")
    raise typer.Exit(1 if problems else 0)
