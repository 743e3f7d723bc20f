"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

from mkgan_core.errors import ConfigError


def parse_scale(text: str) -> int:
    """An enlargement factor.

    Raises:
        ConfigError: for anything but 2 and 4, such as 3 or 2.5.
    """
    if str(text) not in ("2", "4"):
        raise ConfigError(f"--scale {text}: choose 2 or 4; x3 and factors that are no whole numbers are not supported")
    return int(text)


Scale = Annotated[int, typer.Option(envvar="MKGAN_SCALE", parser=parse_scale, help="enlargement factor: 2 or 4")]
Seed = Annotated[int, typer.Option(envvar="MKGAN_SEED", help="the (first) seed")]
StoreUri = Annotated[str | None, typer.Option(envvar="MKGAN_STORE", help="where artifacts and reports go")]
