"""`mkgan upscale`, `segment` and `estimate`: single images, processed by the same steps as a benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.display import Display, Quiet, Verbose
from flows.cli.options import Feather, Masks, PerObject, Preset, Scale, Seed, TrustWeights, WeightFiles
from mkgan_core.errors import ConfigError, DatasetError, MkganError
from mkgan_core.machine import trust
from mkgan_core.machine.memory import VARIABLE, limit_memory
from mkgan_core.machine.places import add_weights, split_file
from mkgan_core.pipeline.method import DEFAULT_METHOD

if TYPE_CHECKING:
    from flows.cli.outputs import Folder, Policy, Target

Images = Annotated[list[str], typer.Argument(help="image files, folders or quoted globs, as paths or URLs")]
Out = Annotated[str, typer.Option(envvar="MKGAN_OUT", help="folder or URL for the results")]
Recursive = Annotated[
    bool, typer.Option("--recursive", "-r", envvar="MKGAN_RECURSIVE", help="also search subfolders for images")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", envvar="MKGAN_OVERWRITE", help="replace existing results")]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing", envvar="MKGAN_SKIP_EXISTING", help="keep existing results and process only the other images"
    ),
]


def upscale(
    images: Images,
    out: Out = "out",
    scale: Scale = 2,
    method: Annotated[
        str, typer.Option(envvar="MKGAN_METHOD", help="name of the method, see `mkgan methods`")
    ] = DEFAULT_METHOD,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            envvar="MKGAN_OUTPUT",
            metavar="FILE",
            help="output file, if there is one image: .png, .jpg, .webp or .tif",
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option(envvar="MKGAN_FORMAT", help="output format: png (the default), jpg, webp or tif")
    ] = None,
    quality: Annotated[
        int | None, typer.Option(envvar="MKGAN_QUALITY", min=1, max=100, help="quality of jpg and webp files, 1 to 100")
    ] = None,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    mask: Masks = None,
    preset: Preset = "fast",
    real: Annotated[
        bool,
        typer.Option(
            envvar="MKGAN_REAL",
            help="settings for noisy images: ZSSR adds noise to its training inputs and skips back-projection",
        ),
    ] = False,
    seed: Seed = 0,
    per_object: PerObject = False,
    feather: Feather = 0.0,
    weights: WeightFiles = None,
    trust_weights: TrustWeights = False,
    html: Annotated[
        Path | None,
        typer.Option(
            envvar="MKGAN_HTML",
            help="also write an HTML page that compares before and after to this file; creates missing folders",
        ),
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(
            envvar=VARIABLE,
            help="memory limit, such as 3G; large images are processed in strips; default: half of the free memory",
        ),
    ] = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Enlarge images. Writes each as <name>_x<scale>.png, or a single image to the file given with -o."""
    from flows.cli import outputs, photo_html
    from mkgan_core import super_resolve
    from mkgan_core.imaging.encoders import losses
    from mkgan_core.pipeline.method import parse

    add_weights(weights)
    trust.trust_weights(trust_weights)
    limit_memory(max_memory)
    chosen = parse(method)
    policy = outputs.Policy(overwrite, skip_existing)
    ending = outputs.picture_format(output, format, quality)
    photo_html.check(html, policy)
    place, name = (out, None) if output is None else split_file(output)
    folder, planned, faults = _plan(
        images,
        place,
        lambda stem: [name or f"{stem}_x{scale}.{ending}"],
        policy,
        recursive,
        only_one=output,
    )
    display = Display(quiet, verbose)
    if mask and chosen.segmenter not in ("whole", "mask"):
        display.line(f"segmenter: mask, because masks were given; {chosen.segmenter} is not used")
    elif mask or chosen.segmenter != "whole":
        display.line(f"segmenter: {'mask' if mask else chosen.segmenter}")

    def enlarge(target: Target) -> None:
        start = time.perf_counter()
        result = super_resolve(
            target.source.address,
            scale,
            chosen,
            preset=preset,
            seed=seed,
            masks=mask or (),
            real=real,
            per_object=per_object,
            feather=feather,
        )
        written = name or f"{target.stem}_x{scale}.{ending}"
        try:
            folder.store.write(written, result.encode(ending, quality))
        except ConfigError as fault:  # too large for the format; other images may still fit
            raise DatasetError(f"{target.source.address}: {fault}") from fault
        height, width = result.regions[0].mask.shape
        sizes = f"{width}x{height} -> {scale * width}x{scale * height}"
        seconds = time.perf_counter() - start
        display.line(f"{target.source.name} {sizes}: {result.summary}, {seconds:.1f} s")
        for note in (*result.notes, *losses(result.picture, ending)):
            if note not in result.summary:
                display.line(f"note: {note}")
        display.line(f"written: {folder.shown(written)}")
        show(target.source, result, seconds)

    with photo_html.page(html, len(planned), method, preset, seed, display) as show:
        _each(planned, faults, enlarge, display, folder)


def segment(
    images: Images,
    segmenter: Annotated[
        str, typer.Option(envvar="MKGAN_SEGMENTER", help="name of the segmenter, see `mkgan methods`")
    ],
    out: Out = "out",
    scale: Scale = 2,
    preset: Preset = "fast",
    mask: Masks = None,
    per_object: PerObject = False,
    weights: WeightFiles = None,
    trust_weights: TrustWeights = False,
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Split images into object and background. Writes four masks and an overlay for each image."""
    from flows.cli import files, outputs
    from mkgan_core import segment as split
    from mkgan_core.pipeline import parts

    add_weights(weights)
    trust.trust_weights(trust_weights)
    name = parts.resolve_auto() if segmenter == "auto" else segmenter
    policy = outputs.Policy(overwrite, skip_existing)
    folder, planned, faults = _plan(images, out, lambda stem: [f"{stem}/overlay.png"], policy, recursive)
    display = Display(quiet, verbose)

    def separate(target: Target) -> None:
        address = target.source.address
        found = split(address, name, masks=mask or (), preset=preset, per_object=per_object)
        total = sum(region.area for region in found.regions)
        shares = ", ".join(f"{region.name} {region.area / total:.0%}" for region in found.regions)
        display.line(f"{target.source.stem}, {name}: {shares}")
        if found.note:
            display.line(f"{target.source.stem}: {found.note}")
        for written in folder.save(files.masks(target.stem, address, found.regions, scale), policy):
            display.line(written)

    _each(planned, faults, separate, display, folder)


def estimate(
    images: Images,
    estimator: Annotated[
        str, typer.Option(envvar="MKGAN_ESTIMATOR", help="name of the estimator, see `mkgan methods`")
    ],
    scale: Scale = 2,
    preset: Preset = "fast",
    seed: Seed = 0,
    mask: Masks = None,
    out: Out = "out",
    recursive: Recursive = False,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Estimate the blur kernel of images. Writes it, or one per masked region, as .npy, .mat and .png."""
    from flows.cli import files, outputs
    from mkgan_core import estimate_kernels
    from mkgan_core.segmenters.base import object_names

    objects = object_names(len(mask or ()))

    def results(stem: str) -> list[str]:
        return [f"{files.kernel_name(stem, region, scale)}.npy" for region in ("whole", "background", *objects)]

    policy = outputs.Policy(overwrite, skip_existing)
    folder, planned, faults = _plan(images, out, results, policy, recursive)
    display = Display(quiet, verbose)

    def find(target: Target) -> None:
        address = target.source.address
        found = estimate_kernels(address, estimator, scale, masks=mask or (), preset=preset, seed=seed)
        for note in found.notes:
            display.line(f"{target.source.stem}: {note}")
        for written in folder.save(files.kernels(target.stem, found.regions, found.kernels, scale), policy):
            display.line(written)

    _each(planned, faults, find, display, folder)


def _plan(
    images: Sequence[str],
    out: str,
    results: Callable[[str], Sequence[str]],
    policy: Policy,
    recursive: bool,
    only_one: str | None = None,
) -> tuple[Folder, list[Target], list[MkganError]]:
    """The output folder, the images with their output names, and an error for each argument that names no image."""
    from flows.cli import inputs, outputs

    folder = outputs.folder_at(out)
    sources, faults = inputs.find(images, recursive=recursive, leave_out=folder.store.uri)
    if only_one and len(sources) > 1:
        raise ConfigError(f"-o {only_one} names one file for {len(sources)} images; use --out FOLDER instead")
    if sources:  # otherwise, no empty folder
        folder.check_writable()
    return folder, outputs.targets(sources, folder, results, policy), faults


def _each(
    planned: Sequence[Target],
    faults: Sequence[MkganError],
    work: Callable[[Target], None],
    display: Display,
    folder: Folder,
) -> None:
    """Do the work for every image that has no result yet."""
    from flows.cli import pictures

    for target in planned:
        for name in target.present:
            display.line(f"skipped: {target.source.address}, because {folder.shown(name)} exists")
    wanted = [target for target in planned if not target.present]

    def kept(done: int) -> str:
        what = f"{done} of {len(wanted)} images are finished; their results are in {folder.given}"
        hint = "To continue, repeat the command with --skip-existing"
        return f"{what}. {hint}" if done else "no image was finished; start again"

    pictures.each(wanted, faults, work, display, kept, skipped=len(planned) - len(wanted))
