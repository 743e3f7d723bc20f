"""The page of `mkgan upscale --html`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from flows.cli.display import Display
    from flows.cli.inputs import Input
    from mkgan_core import SuperResolution


class Show(Protocol):
    """Puts an enlarged photograph on the page, with the seconds that it took."""

    def __call__(self, source: Input, result: SuperResolution, seconds: float) -> None: ...


@contextmanager
def page(file: Path | None, count: int, method: str, preset: str, seed: int, display: Display) -> Iterator[Show]:
    """The page is written when the block ends, also by an interruption, with the photographs that were shown by then.

    Args:
        file: the page; None for none.
        count: of photographs.
        method: by which they are enlarged.
        preset: of its parts.
        seed: source of chance.
        display: says where the page is.

    Raises:
        StorageError: before anything is enlarged, if the file cannot be written.
    """
    if file is None:
        yield lambda source, result, seconds: None
        return
    from mkgan_core.datasets.layout import open_file
    from mkgan_core.imaging import pictures
    from mkgan_core.reports import html
    from mkgan_core.reports.photo_page import Enlarged, PhotoPage

    html.check_place(file)
    made = PhotoPage(count)

    def show(source: Input, result: SuperResolution, seconds: float) -> None:
        _, data = open_file(source.uri)  # again: the result does not keep what it was made of
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
