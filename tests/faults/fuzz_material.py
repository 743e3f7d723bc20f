"""What the fuzzers are made of: files of all kinds and their damage, drawn by hypothesis; a small data set."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.io
import tifffile
from hypothesis import strategies as st
from PIL import Image

import tests.pictures
from mkgan_core.datasets.file_names import image_files
from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.imaging.degradation import degrade
from mkgan_core.machine.storage import Store

SIDE = 24  # of the small images; some are smaller
MASK_SIDE = 100  # of an image that masks can split
MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "LAB", "YCbCr", "HSV", "PA")
FORMATS = (
    *("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM") * 3,
    *("TGA", "ICO", "PCX", "SGI", "JPEG2000", "EPS", "PDF"),  # those that are refused
)
HEADS = (
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff\xe0",
    b"II*\0",
    b"GIF89a",
    b"BM",
    b"RIFF\0\0\0\0WEBP",
    b"P6\n",
    b"%!PS",
)


@dataclass
class Trial:
    """What a fuzzer has prepared in its folder: the command, and the names of which a refusal must give one."""

    arguments: list[str]
    names: list[str]


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """These bytes: mostly as they are, or cut, or with some changed, or with some put in."""
    how = draw(st.sampled_from(["whole"] * 5 + ["cut", "changed", "changed", "longer", "doubled"]))
    if how == "whole" or not data:
        return data
    place = st.integers(0, len(data) - 1) | st.integers(0, min(63, len(data) - 1))
    if how == "cut":
        return data[: draw(place)]
    if how == "doubled":
        return data + data
    made = bytearray(data)
    for at in draw(st.lists(place, min_size=1, max_size=8)):
        if how == "longer":
            made[at:at] = draw(st.binary(max_size=9))
        else:
            made[at] = draw(st.integers(0, 255))
    return bytes(made)


@st.composite
def pictures(draw: st.DrawFn, shape: tuple[int, int] | None = None) -> bytes:
    """A picture's file, of any mode and format, or something that looks like one."""
    if draw(st.sampled_from([False] * 11 + [True])):
        return draw(st.sampled_from(HEADS)) + draw(st.binary(max_size=200))
    side = st.integers(1, SIDE) | st.just(SIDE)
    rows, columns = shape if shape and draw(st.sampled_from([True] * 5 + [False])) else (draw(side), draw(side))
    noise = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 256, (rows, columns, 4), dtype=np.uint8)
    flat = draw(st.sampled_from([None, None, None, 0, 255, 128]))
    if flat is not None:
        noise[:] = flat
    if draw(st.sampled_from([False] * 5 + [True])):
        return draw(damaged(_tiff(draw, noise)))
    mode, format = draw(st.sampled_from(MODES)), draw(st.sampled_from(FORMATS))
    return draw(damaged(_saved(noise, mode, format, draw(st.integers(0, 9)))))


def _saved(pixels: np.ndarray, mode: str, format: str, orientation: int) -> bytes:
    out, image = io.BytesIO(), Image.fromarray(pixels[..., :3])
    try:
        image = image.convert("L").convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
        exif = Image.Exif()
        exif[0x0112] = orientation
        more = {"exif": exif} if orientation > 4 and format in ("PNG", "JPEG", "TIFF", "WEBP") else {}
        image.info.pop("icc_profile", None)  # Pillow puts one that holds the time into LAB, and no seed would repeat it
        image.save(out, format, **more)
    except (OSError, ValueError, KeyError):  # not every format can hold every mode
        out = io.BytesIO()
        plain = image.convert("RGB")
        plain.info.pop("icc_profile", None)
        plain.save(out, "PNG")
    return out.getvalue()


def _tiff(draw: st.DrawFn, pixels: np.ndarray) -> bytes:
    kind = draw(
        st.sampled_from(["uint8", "uint16", "int16", "int32", "float32", "float64", "float16", "complex64", "bool"])
    )
    channels = draw(st.integers(0, 4))
    made = (pixels[..., :channels] if channels else pixels[..., 0]).astype(kind)
    if kind.startswith("float"):
        made = made / made.dtype.type(draw(st.sampled_from([255, 1, 1e-3, 1e6])))
        if draw(st.booleans()):
            made.flat[0] = draw(st.sampled_from([np.nan, np.inf, -1.0, 2.0]))
    out = io.BytesIO()
    try:
        tifffile.imwrite(out, made, compression=draw(st.sampled_from([None, "zlib", "lzw"])))
    except Exception:  # of kinds that it cannot write so
        out = io.BytesIO()
        tifffile.imwrite(out, pixels[..., 0])
    return out.getvalue()


def plain_picture(rows: int = SIDE, columns: int = SIDE) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (rows, columns, 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


@st.composite
def kernels(draw: st.DrawFn) -> bytes:
    """A kernel's file, .mat or .npy, or something like it."""
    value = draw(_kernel_values())
    out = io.BytesIO()
    try:
        if draw(st.sampled_from([True] * 4 + [False])):
            key = draw(st.sampled_from(["Kernel"] * 8 + ["kernel", "k", "kernels"]))
            scipy.io.savemat(out, {key: value}, do_compression=draw(st.booleans()), format=draw(st.sampled_from("54")))
        else:
            np.save(out, value, allow_pickle=True)
    except Exception:  # of values that it cannot write
        out = io.BytesIO(b"MATLAB 5.0 MAT-file")
    return draw(damaged(out.getvalue()))


@st.composite
def _kernel_values(draw: st.DrawFn) -> Any:
    side = draw(st.sampled_from([0, 1, 2, 3, 5, 11, 11, 13, 21, 203]))
    shape = draw(st.sampled_from([(side, side), (side, side), (side, side), (side,), (side, 2), (2, side, side), ()]))
    made: Any = np.random.default_rng(draw(st.integers(0, 9))).random(shape)
    change = draw(
        st.sampled_from(
            ["plain"] * 3
            + "int complex bool text object struct cell sparse nan inf negative zero tiny huge anti".split()
        )
    )
    if change in ("int", "complex", "bool"):
        return made.astype(change)
    if change in ("nan", "inf") and made.size:
        made.flat[0] = float(change)
    return {
        "text": lambda: "a kernel",
        "object": lambda: np.array([made, "x", None], dtype=object),
        "struct": lambda: {"a": made, "b": "c"},
        "cell": lambda: np.array([[made, made]], dtype=object) if side != 2 else made,
        "sparse": lambda: scipy.sparse.csc_matrix(np.atleast_2d(made)) if made.ndim < 3 else made,
        "negative": lambda: -made,
        "zero": lambda: made * 0,
        "tiny": lambda: made * 1e-300,
        "huge": lambda: made * 1e300,
        "anti": lambda: made - np.swapaxes(made, 0, -1) if made.ndim == 2 and len(set(made.shape)) == 1 else made,
    }.get(change, lambda: made)()


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def json_like(draw: st.DrawFn, whole: Any) -> bytes:
    """A JSON document: with a value replaced, a key missing, or something else altogether; then perhaps damaged."""
    made = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(0, 3))):
        place = made
        while isinstance(place, dict | list) and len(place):
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
            if draw(st.integers(0, 2)) == 0 or not isinstance(place[key], dict | list) or not place[key]:
                if draw(st.integers(0, 4)) == 0:
                    del place[key]
                else:
                    place[key] = draw(_json)
                break
            place = place[key]
    made = draw(_json) if draw(st.integers(0, 9)) == 0 else made
    return draw(damaged(json.dumps(made).encode()))


@st.composite
def parquet(draw: st.DrawFn, data: bytes) -> bytes:
    """A table with other values, or other columns, or other bytes."""
    if draw(st.integers(0, 2)) == 0:
        return draw(damaged(data))
    table = pd.read_parquet(io.BytesIO(data))
    length = len(table)
    values = st.one_of(
        st.sampled_from([None, "", "ok", "failed", "[/b]", "im_1", "bicubic", 0, 1, 2, 4, -1, 2**62, 1e308, True]),
        st.floats(),
        st.text(max_size=8),
        st.binary(max_size=5),
        st.datetimes(),
        st.lists(st.integers(0, 3), max_size=2),
    )
    made = pa.Table.from_pandas(table, preserve_index=False)
    for column in draw(st.lists(st.sampled_from(made.column_names), min_size=1, max_size=3, unique=True)):
        at = made.column_names.index(column)
        if draw(st.integers(0, 3)) == 0:
            made = made.remove_column(at)
            continue
        value = draw(values)
        some = [value] * length if draw(st.booleans()) else [value, *made.column(at).to_pylist()[1:]]
        try:
            made = made.set_column(at, column, pa.array(some))
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):
            made = made.set_column(at, column, pa.array([str(value)] * length))
    made = made.slice(0, draw(st.sampled_from([length, length, 1, 0])))
    out = io.BytesIO()
    pq.write_table(made, out)
    return out.getvalue()


@cache
def small_set(root: Path) -> Path:
    """A data set of two images of 24 x 24."""
    made = root / "small-set"
    store = Store(str(made))
    for number in (1, 2):
        high = tests.pictures.picture(number)[: 2 * SIDE, : 2 * SIDE]
        mask = np.zeros(high.shape[:2], bool)
        mask[:, :SIDE] = True
        kernel = random_kernel(np.random.default_rng(number), 2)
        low, blurs = degrade(high, kernel, 2), {"background": kernel}
        for name, content in image_files(f"im_{number}", high, {2: low}, {2: blurs}, {"object": mask}):
            store.write(name, content)
    return made
