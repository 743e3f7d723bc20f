"""`mkgan upscale`, `segment` and `estimate`: images that are no data set, by the same steps as a benchmark's."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from flows.cli.options import Images, Masks, Out, PerObject, Preset, Scale, Seed, WeightFiles
from flows.cli.terminal import make_console
from mkgan_core.errors import ConfigError, MkganError, WeightsError, out_of_memory
from mkgan_core.machine.places import add_weights
from mkgan_core.pipeline.method import DEFAULT_METHOD


def upscale(
    images: Images,
    out: Out = Path("out"),
    scale: Scale = 2,
    method: Annotated[str, typer.Option(envvar="MKGAN_METHOD", help="a method's name")] = DEFAULT_METHOD,
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
    weights: WeightFiles = None,
) -> None:
    """Enlarge images; writes <name>_x<scale>.png."""
    from flows.cli import files
    from mkgan_core import super_resolve
    from mkgan_core.pipeline.method import parse

    add_weights(weights)
    chosen = parse(method)
    store, console = files.output_folder(out), make_console()
    segmenter = "mask" if mask else chosen.segmenter
    if segmenter != "whole":
        console.print(f"segmenter: {segmenter}")

    def enlarge(path: Path) -> None:
        result = super_resolve(
            path,
            scale,
            chosen,
            preset=preset,
            seed=seed,
            masks=mask or (),
            real=real,
            per_object=per_object,
            feather=feather,
        )
        for note in result.notes:
            console.print(f"{path.stem}: {note}", soft_wrap=True)
        console.print(files.save_image(store, f"{path.stem}_x{scale}.png", result.image), soft_wrap=True)

    _each(images, enlarge)


def segment(
    images: Images,
    segmenter: Annotated[str, typer.Option(envvar="MKGAN_SEGMENTER", help="a segmenter's name")],
    out: Out = Path("out"),
    scale: Scale = 2,
    preset: Preset = "fast",
    mask: Masks = None,
    per_object: PerObject = False,
    weights: WeightFiles = None,
) -> None:
    """Split images into object and background; writes four masks and an overlay per image."""
    from flows.cli import files
    from mkgan_core import segment as split
    from mkgan_core.pipeline import parts

    add_weights(weights)
    name = parts.resolve_auto() if segmenter == "auto" else segmenter
    store, console = files.output_folder(out), make_console()

    def separate(path: Path) -> None:
        found = split(path, name, masks=mask or (), preset=preset, per_object=per_object)
        total = sum(region.area for region in found.regions)
        shares = ", ".join(f"{region.name} {region.area / total:.0%}" for region in found.regions)
        console.print(f"{path.stem}, {name}: {shares}")
        if found.note:
            console.print(f"{path.stem}: {found.note}", soft_wrap=True)
        for uri in files.save_masks(store, path, found.regions, scale):
            console.print(uri, soft_wrap=True)

    _each(images, separate)


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
    from flows.cli import files
    from mkgan_core import estimate_kernels

    store, console = files.output_folder(out), make_console()

    def find(path: Path) -> None:
        found = estimate_kernels(path, estimator, scale, masks=mask or (), preset=preset, seed=seed)
        for note in found.notes:
            console.print(f"{path.stem}: {note}", soft_wrap=True)
        for region, kernel in zip(found.regions, found.kernels, strict=True):
            suffix = "" if region.name == "whole" else f"_{region.name}"
            for uri in files.save_kernel(store, f"{path.stem}{suffix}_x{scale}_kernel", kernel):
                console.print(uri, soft_wrap=True)

    _each(images, find)


def _each(paths: Sequence[Path], work: Callable[[Path], None]) -> None:
    """Do the work for every image; a bad one costs only itself.

    Raises:
        ConfigError, WeightsError: for what would stop every image.
        typer.Exit: with code 2 if all images are bad input, 1 if some are, or memory ran out.
    """
    faults = []
    for path in paths:
        try:
            work(path)
        except (ConfigError, WeightsError):
            raise
        except Exception as fault:
            if not isinstance(fault, MkganError) and not out_of_memory(fault):
                raise
            faults.append(fault)
            message = " ".join(str(fault).split())
            print(f"error: {message if path.name in message else f'{path}: {message}'}", file=sys.stderr)
    if faults:
        all_bad_input = len(faults) == len(paths) and all(isinstance(fault, MkganError) for fault in faults)
        raise typer.Exit(2 if all_bad_input else 1)
