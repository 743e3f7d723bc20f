"""The page of `mkgan upscale --html`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mkgan_core.errors import ConfigError

if TYPE_CHECKING:
    from flows.cli.display import Display
    from flows.cli.inputs import Input
    from flows.cli.outputs import Policy
    from mkgan_core import SuperResolution


class Show(Protocol):
    """Adds an enlarged image to the page, with the seconds that it took."""

    def __call__(self, source: Input, result: SuperResolution, seconds: float) -> None: ...


def check(file: Path | None, policy: Policy) -> None:
    """Check, before anything is enlarged, that the page can be written.

    Raises:
        StorageError: if it cannot.
        ConfigError: if it exists. With ``--skip-existing`` it is replaced, because the command continues another.
    """
    if file is None:
        return
    from mkgan_core.reports import html

    html.check_place(file)
    if file.exists() and not (policy.overwrite or policy.skip_existing):
        raise ConfigError(f"{file} exists; add --overwrite to replace it, or choose another place with --html")


@contextmanager
def page(file: Path | None, count: int, method: str, preset: str, seed: int, display: Display) -> Iterator[Show]:
    """Collect images during the block and write the page when it ends, also after an interruption.

    Args:
        file: the page; None to write none.
        count: number of images.
        method: name of the method that enlarges them.
        preset: settings of its parts.
        seed: random seed.
        display: prints where the page is.
    """
    if file is None:
        yield lambda source, result, seconds: None
        return
    from mkgan_core.datasets.layout import open_file
    from mkgan_core.imaging import pictures
    from mkgan_core.reports.photo_page import Enlarged, PhotoPage

    made = PhotoPage(count)

    def show(source: Input, result: SuperResolution, seconds: float) -> None:
        _, data = open_file(source.uri)  # read again, because the result does not keep its input
        made.add(
            Enlarged(
                source.name,
                before=pictures.read(data, source.name).pixels,
                after=result.picture.pixels,
                method=method,
                preset=preset,
                seed=seed,
                seconds=seconds,
                regions=result.regions,
                kernels=result.kernels,
                notes=result.notes,
                profile=result.picture.profile,
            )
        )

    try:
        yield show
    finally:
        if made.cards:
            made.write(file)
            display.line(f"page: {file}")
