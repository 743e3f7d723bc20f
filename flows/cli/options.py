"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from mkgan_core.errors import ConfigError
from mkgan_core.machine.trust import VARIABLE as TRUST
from mkgan_core.pipeline.arguments import check_feather, check_seed


def parse_scale(text: str) -> int:
    """An enlargement factor.

    Raises:
        ConfigError: for anything but 2 and 4, such as 3 or 2.5.

    Example:
        >>> parse_scale("4")
        4
    """
    if str(text) not in ("2", "4"):
        raise ConfigError(f"--scale {text}: only 2 and 4 are supported; choose one of them")
    return int(text)


def parse_seed(text: str) -> int:
    """A seed.

    Raises:
        ConfigError: for anything but a non-negative whole number.

    Example:
        >>> parse_seed("7")
        7
    """
    try:
        number = int(text)
    except ValueError:
        raise ConfigError(f"--seed {text}: give a whole number") from None
    return check_seed(number, "--seed")


def parse_feather(text: str) -> float:
    """The width of a blend in pixels.

    Raises:
        ConfigError: for anything but a number in the possible range.

    Example:
        >>> parse_feather("2.5")
        2.5
    """
    try:
        pixels = float(text)
    except ValueError:
        raise ConfigError(f"--feather {text}: give a number of pixels") from None
    return check_feather(pixels, "--feather")


def parse_pair(text: str, methods: Iterable[str]) -> tuple[str, str]:
    """Two methods of a report, as in ``multi-kernelgan+zssr,kernelgan+zssr``.

    Raises:
        ConfigError: if it is not two of them.

    Example:
        >>> parse_pair("a+zssr, bicubic", ["bicubic", "a+zssr"])
        ('a+zssr', 'bicubic')
    """
    names = [name.strip() for name in text.split(",")]
    known = list(methods)
    if len(names) != 2 or not set(names) <= set(known):
        raise ConfigError(f"--pair {text}: give two of the report's methods, separated by a comma: {', '.join(known)}")
    return names[0], names[1]


Scale = Annotated[int, typer.Option(envvar="MKGAN_SCALE", parser=parse_scale, help="enlargement factor: 2 or 4")]
Seed = Annotated[int, typer.Option(envvar="MKGAN_SEED", parser=parse_seed, help="(first) random seed, 0 or larger")]
StoreUri = Annotated[str | None, typer.Option(envvar="MKGAN_STORE", help="folder or URL for artifacts and reports")]
RunName = Annotated[str, typer.Argument(help="a run id, or the URI of its report.parquet")]
LastRun = Annotated[
    str | None, typer.Argument(metavar="[RUN]", help="a run id, or the URI of its report.parquet; else the last run")
]
Html = Annotated[
    Path | None,
    typer.Option(
        envvar="MKGAN_HTML",
        help="also write an HTML page with tables, plots and images to this file; creates missing folders",
    ),
]
Feather = Annotated[
    float,
    typer.Option(
        envvar="MKGAN_FEATHER",
        parser=parse_feather,
        metavar="PIXELS",
        help="blend neighbouring regions over this many pixels; 0 for hard borders",
    ),
]
Pairs = Annotated[
    list[str] | None,
    typer.Option("--pair", envvar="MKGAN_PAIR", help="two methods to compare, as A,B; may be repeated"),
]
Preset = Annotated[str, typer.Option(envvar="MKGAN_PRESET", help="settings: fast, best or paper")]
Masks = Annotated[
    list[Path] | None,
    typer.Option(
        "--mask", envvar="MKGAN_MASK", help="mask image, white on the object, same size as the image; may be repeated"
    ),
]
WeightFiles = Annotated[
    str | None,
    typer.Option(
        "--weights", envvar="MKGAN_WEIGHTS", help="files or folders with network weights, separated as in PATH"
    ),
]
TrustWeights = Annotated[
    bool,
    typer.Option(
        "--trust-weights",
        envvar=TRUST,
        help="also load pickled weights (.pt, .pkl) that are not published ones; such a file can run any code",
    ),
]
PerObject = Annotated[
    bool,
    typer.Option(
        envvar="MKGAN_PER_OBJECT", help="yolo-sam, yolo-seg, yolo-grabcut: one region per object, not one for all"
    ),
]
