"""The picture a run leaves behind: for each image a detail from every method, beside the truth."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from mkgan_core import datasets, images
from mkgan_core.images import Image, to_uint8
from mkgan_core.report import Result
from mkgan_core.storage import Store, content_key

CELL, LABEL, MARGIN = 192, 18, 4
SHEET_ROWS = 24  # images on a run's sheet


def contact_sheet(
    rows: Iterable[tuple[str, Mapping[str, Image]]], columns: Sequence[str], captions: Mapping[tuple[str, str], str]
) -> bytes:
    """PNG bytes of a table of details: a row per image, a column per method.

    The detail is the 192-pixel square in which the first and the last picture of the row (baseline and truth) differ
    most.

    Args:
        rows: (image ID, {column: image (H, W, 3)}), all images of a row of one size; only one row is held at a time.
        columns: the column names, in order.
        captions: (image ID, column) -> text under the detail, such as its PSNR.
    """
    from PIL import Image as Pillow
    from PIL import ImageDraw

    size = (MARGIN + len(columns) * (CELL + MARGIN), CELL + LABEL + MARGIN)
    header = Pillow.new("RGB", (size[0], LABEL), "white")
    for j, column in enumerate(columns):
        ImageDraw.Draw(header).text((MARGIN + j * (CELL + MARGIN), 3), column, fill="black")
    strips = [header]
    for name, row in rows:
        strip = Pillow.new("RGB", size, "white")
        draw = ImageDraw.Draw(strip)
        window = busiest(row)
        for j, column in enumerate(columns):
            left = MARGIN + j * (CELL + MARGIN)
            if column in row:
                strip.paste(Pillow.fromarray(to_uint8(row[column][window])), (left, 0))
            caption = captions.get((name, column), "")
            draw.text((left, CELL + 3), f"{name}  {caption}" if j == 0 else caption, fill="black")
        strips.append(strip)
    out = io.BytesIO()
    Pillow.fromarray(np.concatenate([np.asarray(strip) for strip in strips])).save(out, "PNG")
    return out.getvalue()


def sheet_of(results: Sequence[Result], store: Store) -> bytes:
    """A detail of each image by each method with the first seed, the truth last; the same results share one sheet."""
    by_image: dict[str, dict[str, Result]] = {}
    for result in results:
        if result.composed:
            by_image.setdefault(result.spec.image, {}).setdefault(result.method.name, result)
    chosen = dict(list(by_image.items())[:SHEET_ROWS])
    shown = [r for group in chosen.values() for r in group.values() if r.composed]
    columns = [*dict.fromkeys(result.method.name for result in results), "truth"]
    key = content_key({"columns": columns, "cells": [[r.method.name, r.composed["key"]] for r in shown if r.composed]})
    name = f"artifacts/sheet/{key[:2]}/{key}.png"
    if store.exists(name):
        return store.read(name)

    def rows() -> Iterator[tuple[str, dict[str, Image]]]:
        for image, group in chosen.items():
            made = {m: r.composed["output_uri"] for m, r in group.items() if r.composed}
            pictures = {method: images.decode(store.read(uri), uri) for method, uri in made.items()}
            yield image, {**pictures, "truth": datasets.load_high(next(iter(group.values())).spec)}

    captions = {
        (r.spec.image, r.method.name): f"{r.composed['psnr_y']:.2f} dB"
        for r in shown
        if r.composed and r.composed.get("psnr_y") is not None
    }
    sheet = contact_sheet(rows(), columns, captions)
    store.write(name, sheet)
    return sheet


def shrunk(picture: bytes, limit: int, widths: Sequence[int] = (1600, 1200, 900, 600, 400)) -> bytes:
    """A picture as WebP of at most ``limit`` bytes, smaller than it was if need be."""
    from PIL import Image as Pillow

    data = b""
    for width in widths:
        small = Pillow.open(io.BytesIO(picture)).convert("RGB")
        small.thumbnail((width, 8 * width))
        out = io.BytesIO()
        small.save(out, "WEBP", quality=80)
        data = out.getvalue()
        if len(data) <= limit:
            break
    return data


def busiest(row: Mapping[str, Image]) -> tuple[slice, slice]:
    """The square of `CELL` pixels in which the first and the last picture of a row differ most."""
    from scipy.ndimage import uniform_filter

    first, *_, last = row.values() if len(row) > 1 else [*row.values()] * 2
    height, width = (min(a, b) for a, b in zip(first.shape[:2], last.shape[:2], strict=True))
    # whichever type they have: uint8 would wrap round
    gap = np.subtract(first[:height, :width], last[:height, :width], dtype=np.float32)
    difference = np.abs(gap).mean(axis=2)
    blurred = uniform_filter(difference, CELL, mode="constant")
    rows, columns = max(1, height - CELL), max(1, width - CELL)
    inner = blurred[CELL // 2 : CELL // 2 + rows, CELL // 2 : CELL // 2 + columns]
    top, left = np.unravel_index(int(inner.argmax()), inner.shape) if inner.size else (0, 0)
    return slice(int(top), int(top) + CELL), slice(int(left), int(left) + CELL)
