"""Inputs that nobody foresaw, made by hypothesis: what each is about, the files it writes, the command it gives."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
from collections.abc import Callable, Sequence
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
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

import tests.pictures
from mkgan_core.datasets.file_names import image_files
from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.imaging.degradation import degrade
from mkgan_core.machine.storage import Store
from tests import data_sets, drive
from tests.faults import commands
from tests.faults.commands import SECRET, Outcome
from tests.faults.tally import Tally

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
FILE_NAMES = ("a.png", "b.JPG", "c.tif", "d.webp", "[red]e.png", "[b].png", "ä ö.png", "-f.png", "%41.png", "n\nl.png")
QUICK = ("bicubic", "bicubic+back-projection", "spectral+back-projection", "fft-texture/bicubic+back-projection")


@dataclass
class Trial:
    """What a fuzzer has prepared in its folder: the command, and the names of which a refusal must give one."""

    arguments: list[str]
    names: list[str]


Maker = Callable[[st.DataObject, Path], Trial]


# --- bytes --------------------------------------------------------------------------------------------------------


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
        image.save(out, format, **more)
    except (OSError, ValueError, KeyError):  # not every format can hold every mode
        out = io.BytesIO()
        image.convert("RGB").save(out, "PNG")
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


# --- trials -------------------------------------------------------------------------------------------------------


def images(data: st.DataObject, folder: Path) -> Trial:
    name = data.draw(st.sampled_from(FILE_NAMES))
    (folder / name).write_bytes(data.draw(pictures()))
    command = data.draw(st.sampled_from(["upscale"] * 5 + ["segment", "estimate"]))
    more = {
        "upscale": lambda: ["--method", data.draw(st.sampled_from(("bicubic", *QUICK)))],
        "segment": lambda: ["--segmenter", data.draw(st.sampled_from(["fft-texture", "edges", "anchors"]))],
        "estimate": lambda: ["--estimator", data.draw(st.sampled_from(["bicubic", "spectral"]))],
    }[command]()
    return Trial([command, str(folder / name), "--out", str(folder / "out"), *more], [name])


def masks(data: st.DataObject, folder: Path) -> Trial:
    (folder / "image.png").write_bytes(plain_picture(MASK_SIDE, MASK_SIDE))
    names = [f"mask{number}.png" for number in range(data.draw(st.integers(1, 3)))]
    for name in names:
        (folder / name).write_bytes(data.draw(pictures((MASK_SIDE, MASK_SIDE))))
    given = [word for name in names for word in ("--mask", str(folder / name))]
    command = data.draw(
        st.sampled_from(
            [
                ["upscale", "--method", "bicubic+back-projection"],
                ["upscale", "--method", "bicubic"],
                ["segment", "--segmenter", "mask"],
            ]
        )
    )
    if command[0] == "upscale" and data.draw(st.booleans()):
        command = [*command, "--feather", data.draw(st.sampled_from(["0", "1.5", "300", "nan", "-1"]))]
    return Trial([*command, str(folder / "image.png"), *given, "--out", str(folder / "out")], [*names, "image.png"])


@cache
def _small_set(root: Path) -> Path:
    """A data set of two images of 24 x 24."""
    made = root / "small-set"
    store = Store(str(made))
    for number in (1, 2):
        high = tests.pictures.picture(number)[: 2 * SIDE, : 2 * SIDE]
        mask = np.zeros(high.shape[:2], bool)
        mask[:, :SIDE] = True
        kernel = random_kernel(np.random.default_rng(number), 2)
        low, blurs = degrade(high, kernel, 2), {"background": kernel}
        for name, content in image_files(f"im_{number}", high, {2: low}, {2: blurs}, mask):
            store.write(name, content)
    return made


def true_kernels(data: st.DataObject, folder: Path) -> Trial:
    made = Path(shutil.copytree(_small_set(folder.parent), folder / "set"))
    name = data.draw(st.sampled_from(["kernel_1.mat", "kernel_1_obj.mat"]))
    (made / "gt_k_x2" / name).write_bytes(data.draw(kernels()))
    return _with_set(data, made, folder, [name, "lr_x4"])


def _with_set(data: st.DataObject, made: Path, folder: Path, names: Sequence[str] = ()) -> Trial:
    if data.draw(st.booleans()):
        return Trial(["dataset", "check", str(made)], list(names) or [str(made)])
    methods = ["--method", data.draw(st.sampled_from(["bicubic", "given/ground-truth+back-projection"]))]
    scale = ["--scale", data.draw(st.sampled_from(["2"] * 7 + ["4"]))]
    return Trial(
        ["benchmark", "--dataset", str(made), "--store", str(folder / "store"), *methods, *scale],
        list(names) or [str(made)],
    )


def layouts(data: st.DataObject, folder: Path) -> Trial:
    made = Path(shutil.copytree(_small_set(folder.parent), folder / "set"))
    (made / "manifest.json").write_text("{}") if data.draw(st.integers(0, 3)) == 0 else None
    files = sorted(path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file())
    for name in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=3, unique=True)):
        _spoil(data, made / name)
    return _with_set(data, made, folder)


def _spoil(data: st.DataObject, path: Path) -> None:
    how = data.draw(st.sampled_from("gone damaged picture folder pipe loop twin text renamed json moved".split()))
    if how == "damaged":
        path.write_bytes(data.draw(damaged(path.read_bytes())))
    elif how == "picture":
        path.write_bytes(data.draw(pictures()))
    elif how == "text":
        path.write_text(data.draw(st.text(max_size=30)).encode("utf-8", "replace").decode())
    elif how == "json":
        path.write_bytes(data.draw(json_like({"version": 1, "images": [{"image": "im_1", "files": []}]})))
    elif how == "twin":
        endings = [".jpg", ".tif", ".PNG", ".txt", ".mat"]
        ending = data.draw(st.sampled_from([one for one in endings if one != path.suffix]))
        shutil.copy(path, path.with_suffix(ending))
    elif how in ("renamed", "moved"):
        name = data.draw(st.sampled_from(["[b].png", "\udcff.png", "a\nb.png", ".x.png", "im_1 .png", "IM_1.png"]))
        path.rename(path.with_name(name) if how == "renamed" else path.parents[1] / name)
    else:
        path.unlink()
        if how == "folder":
            path.mkdir()
        elif how == "pipe":
            os.mkfifo(path)
        elif how == "loop":
            path.symlink_to(path.name)


VALUES = (
    *("", " ", "0", "1", "2", "3", "4", "-1", "1e9", "nan", "inf", "1.5", "99999999999999999999", "0x10", "true"),
    *("a", "[/b]", "[red]x", "$HOME", "~", "..", "/", "/dev/null", "/proc/self/mem", "/nonexistent/x", "\udcff", "ü\n"),
    *(
        "bicubic",
        "bicubic+zssr+x",
        "given/bicubic",
        "spectral+back-projection",
        "fft-texture",
        "+",
        "/",
        "a/b/c",
        "multi-",
    ),
    *(
        "fast",
        "best",
        "paper",
        "auto",
        "cpu",
        "cuda",
        "cuda:9",
        "threads",
        "png",
        "jpg",
        "webp",
        "tif",
        "gif",
        "100",
        "101",
    ),
    *(
        "3G",
        "0G",
        "1K",
        "-3G",
        "memory://x",
        "faulty:///x",
        "nosuch://x",
        "file:///nonexistent",
        "im_1",
        "im_1,im_1",
        "im_9",
    ),
    *(f"http://alice:{SECRET}@127.0.0.1:1/x.png", f"ftp://alice:{SECRET}@127.0.0.1:1/x", "http://[::1", "data:,x"),
    *("bicubic:bicubic+back-projection", "a:b", ":", "run", "report.parquet"),
)
OPTIONS = {
    "upscale": "--out --scale --method -o --format --quality --recursive --overwrite --skip-existing --mask --preset"
    " --real --seed --per-object --feather --weights --html --max-memory --quiet --verbose",
    "segment": "--segmenter --mask --scale --out --preset --per-object --recursive --overwrite --skip-existing --quiet",
    "estimate": "--estimator --scale --preset --seed --mask --out --recursive --overwrite --skip-existing --quiet",
    "benchmark": "--dataset --scale --method --preset --seeds --seed --limit --images --store --runner --dask-address"
    " --device --weights --quiet --verbose",
    "report": "--html --pair --store",
    "compare": "--html --pair --store",
    "dataset check": "--scale",
    "store check": "--store",
    "store prune": "--store --older-than --dry-run",
    "methods": "--help",
}
FLAGS = frozenset(
    "--recursive --overwrite --skip-existing --real --per-object --quiet --verbose --dry-run --help".split()
)
SLOW = ("zssr", "kernelgan", "michaeli")


def options(data: st.DataObject, folder: Path) -> Trial:
    (folder / "image.png").write_bytes(plain_picture())
    command = data.draw(st.sampled_from(sorted(OPTIONS)))
    values = st.sampled_from([*VALUES, str(folder / "image.png"), str(folder), str(folder / "new")])
    chosen = data.draw(st.lists(st.sampled_from(OPTIONS[command].split()), max_size=4))
    arguments = [*command.split()]
    if command in ("upscale", "segment", "estimate"):
        image = str(folder / "image.png")
        arguments += (
            data.draw(st.lists(st.just(image) | values, min_size=0, max_size=2))
            if data.draw(st.booleans())
            else [image]
        )
        arguments += ["--out", str(folder / "out")]
        arguments += {
            "upscale": ["--method", "bicubic"],
            "segment": ["--segmenter", "edges"],
            "estimate": ["--estimator", "bicubic"],
        }[command]
    elif command == "benchmark":
        arguments += [
            "--dataset",
            str(_small_set(folder.parent)),
            "--store",
            str(folder / "store"),
            "--method",
            "bicubic",
        ]
    elif command.startswith("store"):
        arguments += ["--store", str(folder / "store")]
    elif command != "methods":
        arguments += [data.draw(values) for _ in range({"compare": 2}.get(command, 1))]
    for option in chosen:
        value = data.draw(values)
        if any(part in value for part in SLOW) or (option in ("--weights",) and value == "/"):
            continue
        arguments += [option] if option in FLAGS else [option, value]
    # what an argument says is quoted in the message about it; a control character is written out
    quoted = [word.encode("ascii", "backslashreplace").decode() for word in arguments[1:]]
    shortest = [f"'{word}'" for word in arguments[1:] if word] + ["run ''"]
    return Trial(arguments, [*arguments[1:], *quoted, *shortest, "image.png", "***", "/here", str(folder)])


@cache
def _report(root: Path) -> Path:
    """The store of a run with two images and two methods."""
    made = root / "report-store"
    drive.benchmark(data_sets.write_data_set(root / "report-set"), str(made), ["bicubic", "bicubic+back-projection"])
    (made / "runs" / "run" / "run.json").write_text(json.dumps(_facts()))
    return made


def _facts() -> dict[str, Any]:
    from flows.config import BenchmarkConfig

    config = BenchmarkConfig(dataset="sample", methods=["bicubic"], store="memory://x")
    return {"flow_run_id": "12345678-1234-5678-1234-567812345678", "config": config.model_dump(mode="json")}


def _copied_run(folder: Path) -> Path:
    store = _report(folder.parent)
    return Path(shutil.copytree(store / "runs" / "run", folder / "store" / "runs" / "run"))


def reports(data: st.DataObject, folder: Path) -> Trial:
    run = _copied_run(folder)
    name = data.draw(st.sampled_from(["report.parquet"] * 3 + ["regions.parquet", "images.parquet"]))
    (run / name).write_bytes(data.draw(parquet((run / name).read_bytes())))
    report = str(run / "report.parquet")
    whole = str(_report(folder.parent) / "runs" / "run" / "report.parquet")
    html = ["--html", str(folder / "page.html")] if data.draw(st.integers(0, 5)) == 0 else []
    command = data.draw(st.sampled_from([["report", report], ["compare", whole, report], ["compare", report, whole]]))
    return Trial([*command, *html], [str(run)])


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


def run_files(data: st.DataObject, folder: Path) -> Trial:
    run = _copied_run(folder)
    store = folder / "store"
    name = data.draw(st.sampled_from(["run.json", "run.json", "artifacts.json"]))
    whole: Any = _facts() if name == "run.json" else ["artifacts/compose/aa/aa.json"]
    (run / name).write_bytes(data.draw(json_like(whole)))
    if data.draw(st.booleans()):
        record = {"key": "k" * 64, "check": "", "output": {"name": "artifacts/a.png", "size": 3, "sha256": "ab"}}
        place = store / "artifacts" / "compose" / "kk"
        place.mkdir(parents=True)
        (place / f"{'k' * 64}.json").write_bytes(data.draw(json_like(record)))
    command = data.draw(
        st.sampled_from(
            [["retry", "run"], ["retry", "run"], ["store", "check"], ["store", "prune", "--dry-run"], ["report", "run"]]
        )
    )
    if command[-1] == "--dry-run":
        command = [*command, "--older-than", "0"]
    return Trial([*command, "--store", str(store)], [str(store), "run"])


KINDS: dict[str, Maker] = {
    "images": images,
    "masks": masks,
    "kernels": true_kernels,
    "layouts": layouts,
    "options": options,
    "reports": reports,
    "run.json": run_files,
}


def run(kind: str, examples: int, root: Path, chosen_seed: int | None = None, tally: Tally | None = None) -> int:
    """Try so many inputs of a kind; returns how many there were.

    Args:
        kind: one of `KINDS`.
        examples: how many.
        root: a folder, kept between calls.
        chosen_seed: of hypothesis; None for the same inputs each time.
        tally: counts outcomes and collects what is wrong; None raises it, with the smallest input that shows it.
    """
    numbers = iter(range(10**9))
    home = root / "here"
    home.mkdir(parents=True, exist_ok=True)
    tried = [0]

    def trial(data: st.DataObject) -> None:
        folder = root / f"{kind}-{next(numbers)}"
        folder.mkdir(parents=True)
        before = Path.cwd()
        try:
            made = KINDS[kind](data, folder)
            os.chdir(home)
            outcome = commands.call(*made.arguments)
        finally:
            os.chdir(before)
            shutil.rmtree(folder, ignore_errors=True)
        tried[0] += 1
        _judge(f"{kind}, seed {chosen_seed}, case {tried[0]}", made, outcome, tally)

    test = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=chosen_seed is None,
        phases=[Phase.generate, Phase.shrink] if tally is None else [Phase.generate],
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
        print_blob=False,
    )(given(st.data())(trial))
    if chosen_seed is not None:
        test = seed(chosen_seed)(test)
    test()
    return tried[0]


def _judge(case: str, made: Trial, outcome: Outcome, tally: Tally | None) -> None:
    options = [word for word in made.arguments if word.startswith("--")]
    written_out = [repr(name)[1:-1] for name in made.names]  # control characters
    wrong, kind = outcome.wrong([*made.names, *written_out, *options]), case.partition(",")[0]
    told = f"{case}: mkgan {' '.join(map(repr, made.arguments))}; stderr: {outcome.err[-500:]!r}"
    if tally is None:
        assert wrong is None, f"{wrong}: {told}"
        return
    tally.count(f"{kind}: {outcome.kind}")
    tally.count("cases")
    if wrong:
        tally.fault(f"{kind}: {_without_values(wrong)}", f"{wrong}: {told}")


def _without_values(text: str) -> str:
    """An exception without what it quotes, so that equal faults are counted together."""
    kind, place = re.match(r"[^:]*", text), re.search(r"\([^ ()]*:\d+\)$", text)
    return f"{kind[0] if kind else ''} {place[0] if place else ''}".strip()
