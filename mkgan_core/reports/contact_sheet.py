"""The contact sheet of a run: a picture with a detail of each image by each method and of the ground truth."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from mkgan_core.datasets.layout import load_high
from mkgan_core.imaging.images import Image, decode, encode, to_uint8
from mkgan_core.importing import importing
from mkgan_core.machine.storage import Store, content_key
from mkgan_core.pipeline import records
from mkgan_core.pipeline.results import Result
from mkgan_core.reports import ranking

CELL, LABEL, MARGIN = 192, 18, 4  # pixels
SHEET_ROWS = 24  # number of images on a run's sheet


def contact_sheet(
    rows: Iterable[tuple[str, Mapping[str, Image]]],
    columns: Sequence[str],
    captions: Mapping[tuple[str, str], str],
    *,
    title: str = "",
    means: Mapping[str, str] | None = None,
) -> bytes:
    """Draw a table of details: one row per image, one column per method.

    The detail is the 192-pixel square in which the first and the last picture of the row (usually baseline and ground
    truth) differ most.

    Args:
        rows: (image ID, {column: image (H, W, 3)}), all images of a row of one size; only one row is in memory.
        columns: the column names, in order.
        captions: (image ID, column) -> text under the detail, such as its PSNR.
        title: text above the table.
        means: column -> text under its heading, such as its mean PSNR; None for no such line.

    Returns:
        The bytes of a PNG.

    Example:
        >>> from mkgan_core.imaging.images import picture_size
        >>> grey = np.full((200, 300, 3), 0.5)
        >>> sheet = contact_sheet([("im_1", {"bicubic": grey, "truth": grey})], ["bicubic", "truth"], {})
        >>> picture_size(sheet, "sheet")  # one row under the headings, two columns
        (232, 396)
    """
    with importing:
        from PIL import Image as Pillow
        from PIL import ImageDraw

    size = (MARGIN + len(columns) * (CELL + MARGIN), CELL + LABEL + MARGIN)
    lines = [{columns[0]: title}] if title and columns else []
    lines += [{column: column for column in columns}, *([means] if means is not None else [])]
    header = Pillow.new("RGB", (size[0], LABEL * len(lines)), "white")
    for i, line in enumerate(lines):
        for j, column in enumerate(columns):
            ImageDraw.Draw(header).text(
                (MARGIN + j * (CELL + MARGIN), 3 + i * LABEL), line.get(column, ""), fill="black"
            )
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
    return encode(np.concatenate([np.asarray(strip) for strip in strips]), "PNG")


def sheet_of(results: Sequence[Result], store: Store, title: str = "") -> bytes:
    """Draw the contact sheet of a run: details by all methods with the first seed, and of the ground truth.

    The heading of each method contains its mean PSNR Y over all images of the run, and says whether it is the best
    blind method or an oracle. Runs with the same results and title share one sheet in the store.

    Args:
        results: of the run.
        store: of its artifacts.
        title: of the sheet.

    Returns:
        The bytes of a PNG.

    Raises:
        StorageError, DatasetError: if an enlargement or a ground truth cannot be read.
    """
    by_image: dict[str, dict[str, Result]] = {}
    for result in results:
        if result.composed:
            by_image.setdefault(result.spec.image, {}).setdefault(result.method.name, result)
    shown = dict(list(by_image.items())[:SHEET_ROWS])
    columns = [*dict.fromkeys(result.method.name for result in results), "truth"]
    cells = [(image, name, r.composed) for image, group in shown.items() for name, r in group.items() if r.composed]
    means = _means(results)
    made_of = [[method, composed["key"]] for _, method, composed in cells]
    key = content_key({"columns": columns, "cells": made_of, "title": title, "means": means})
    name = f"artifacts/sheet/{key[:2]}/{key}"

    def rows() -> Iterator[tuple[str, dict[str, Image]]]:
        for image, group in shown.items():
            made = {method: r.composed["output"] for method, r in group.items() if r.composed}
            pictures = {method: decode(store.fetch(file), file["name"]) for method, file in made.items()}
            yield image, {**pictures, "truth": load_high(next(iter(group.values())).spec)}

    psnrs = {(image, method): composed.get("psnr_y") for image, method, composed in cells}
    captions = {place: f"{psnr:.2f} dB" for place, psnr in psnrs.items() if psnr is not None}
    with store.lock(f"sheet-{key}"):  # another run may be drawing the same
        if found := records.find(store, f"{name}.json", key):
            return store.fetch(found["sheet"])
        sheet = contact_sheet(rows(), columns, captions, title=title, means=means)
        drawn = {"key": key, "label": "contact sheet", "sheet": store.put(f"{name}.png", sheet)}
        store.write_json(f"{name}.json", records.sealed(drawn))
    return sheet


def _means(results: Sequence[Result]) -> dict[str, str]:
    """Text for the heading of each method: its mean PSNR Y, and whether it is the best or an oracle."""
    done = [(r.method.name, r.spec.image, r.composed.get("psnr_y")) for r in results if r.composed]
    scored = [(name, image, psnr) for name, image, psnr in done if psnr is not None]
    oracle = {r.method.name for r in results if ranking.needs_truth(r.method.estimator)}
    means = []
    for name in dict.fromkeys(name for name, *_ in scored):
        own = [(image, psnr) for other, image, psnr in scored if other == name]
        mean = float(np.mean([psnr for _, psnr in own]))
        means.append({"method": name, "images": len(dict(own)), "psnr_y": mean})
    best = ranking.marks(means, oracle).get("psnr_y", ())
    kinds = {name: ", oracle" if name in oracle else ", best" if name in best else "" for name, *_ in scored}
    return {row["method"]: f"mean {row['psnr_y']:.2f} dB{kinds[row['method']]}" for row in means}


def shrunk(picture: bytes, limit: int, widths: Sequence[int] = (1600, 1200, 900, 600, 400)) -> bytes:
    """A picture as WebP of at most ``limit`` bytes, scaled down if necessary.

    Args:
        picture: in any of Pillow's formats.
        limit: in bytes.
        widths: in pixels, tried in this order; the last one is used even if it exceeds the limit.
    """
    with importing:
        from PIL import Image as Pillow

    data = b""
    for width in widths:
        small = Pillow.open(io.BytesIO(picture)).convert("RGB")
        small.thumbnail((width, 8 * width))
        data = encode(np.asarray(small), "WEBP", quality=80)
        if len(data) <= limit:
            break
    return data


def busiest(row: Mapping[str, Image]) -> tuple[slice, slice]:
    """The square of `CELL` pixels in which the first and the last picture of a row differ most.

    Args:
        row: name -> image (H, W, 3), float or uint8, at least one.

    Returns:
        Its rows and columns, for indexing; smaller if the image is smaller.

    Example:
        >>> first = np.zeros((400, 600, 3))
        >>> last = first.copy()
        >>> last[150:342, 300:492] = 1
        >>> busiest({"bicubic": first, "truth": last})
        (slice(150, 342, None), slice(300, 492, None))
    """
    with importing:
        from scipy.ndimage import uniform_filter

    first, *_, last = row.values() if len(row) > 1 else [*row.values()] * 2
    height = min(first.shape[0], last.shape[0])
    width = min(first.shape[1], last.shape[1])
    # as float32, because uint8 would wrap around
    gap = np.subtract(first[:height, :width], last[:height, :width], dtype=np.float32)
    blurred = uniform_filter(np.abs(gap).mean(axis=2), CELL, mode="constant")
    rows, columns = max(1, height - CELL), max(1, width - CELL)
    inner = blurred[CELL // 2 : CELL // 2 + rows, CELL // 2 : CELL // 2 + columns]
    top, left = np.unravel_index(int(inner.argmax()), inner.shape) if inner.size else (0, 0)
    return slice(int(top), int(top) + CELL), slice(int(left), int(left) + CELL)
