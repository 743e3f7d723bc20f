"""`mkgan report` and `mkgan compare` of files that no run wrote: one line that names the file, never a traceback."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mkgan_core.reports.schema import report_schema
from tests.data_sets import write_data_set
from tests.drive import benchmark

METHODS = ["bicubic", "bicubic+back-projection"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run with two images and two methods."""
    folder = tmp_path_factory.mktemp("original")
    uri = benchmark(write_data_set(folder / "set"), str(folder / "store"), METHODS)
    return Path(uri.removeprefix("file://")).parent


@pytest.fixture
def report(original: Path, tmp_path: Path) -> Path:
    """A copy of the run's report, to damage."""
    return shutil.copytree(original, tmp_path / "store" / "runs" / "damaged") / "report.parquet"


def parquet(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[bytes], bytes]:
    """A damage: the table changed, and written by pandas."""

    def damage(data: bytes) -> bytes:
        out = io.BytesIO()
        change(pd.read_parquet(io.BytesIO(data))).to_parquet(out)
        return out.getvalue()

    return damage


def versioned(version: str) -> Callable[[bytes], bytes]:
    def damage(data: bytes) -> bytes:
        table, out = pq.read_table(io.BytesIO(data)), io.BytesIO()
        pq.write_table(table.replace_schema_metadata({"mkgan_schema_version": version}), out)
        return out.getvalue()

    return damage


def lists(data: bytes) -> bytes:
    table, out = pq.read_table(io.BytesIO(data)), io.BytesIO()
    at = table.column_names.index("psnr_y")
    pq.write_table(table.set_column(at, "psnr_y", pa.array([[1.0, 2.0]] * len(table))), out)
    return out.getvalue()


def broken_letters(data: bytes) -> bytes:
    table, out = pq.read_table(io.BytesIO(data)), io.BytesIO()
    at, name = table.column_names.index("image"), pa.array([b"\xff\xfe"] * len(table), pa.binary())
    text = pa.Array.from_buffers(pa.string(), len(name), name.buffers())
    pq.write_table(table.set_column(at, "image", text), out)
    return out.getvalue()


UNREADABLE: dict[str, Callable[[bytes], bytes]] = {
    "garbage": lambda _: os.urandom(3000),
    "zero bytes": lambda _: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "no footer": lambda data: data[:-8],
    "head and tail only": lambda data: data[:4] + data[-8:],
    "csv": lambda data: pd.read_parquet(io.BytesIO(data)).to_csv().encode(),
    "json": lambda _: b'{"image": "im_1"}',
    "letters that are not UTF-8": broken_letters,
}
UNUSABLE: dict[str, Callable[[bytes], bytes]] = {
    **{f"no {name}": parquet(lambda t, n=name: t.drop(columns=n)) for name in ("image", "method", "psnr_y", "status")},
    "no column of ours": parquet(lambda t: pd.DataFrame({"a": [1] * len(t)})),
    "no column at all": parquet(lambda t: t[[]]),
    "no rows": parquet(lambda t: t.iloc[:0]),
    "words for figures": parquet(lambda t: t.assign(psnr_y="high")),
    "words for seeds": parquet(lambda t: t.assign(seed="first")),
    "figures for times": parquet(lambda t: t.assign(created_at="yesterday")),
    "lists for figures": lists,
    "nameless images": parquet(lambda t: t.assign(image=None)),
    "nameless methods": parquet(lambda t: t.assign(method=[None, *t["method"].iloc[1:]])),
    "no scale": parquet(lambda t: t.assign(scale=None)),
    "scale 3": parquet(lambda t: t.assign(scale=3)),
    "a newer version": versioned("2.0"),
    "a version of garbage": versioned("\N{SNOWMAN}"),
}
ODD: dict[str, Callable[[bytes], bytes]] = {
    "no score": parquet(lambda t: t.assign(psnr_y=np.nan)),
    "no score in numbers at all": parquet(
        lambda t: t.assign(**{n: None for n in t if n.startswith(("psnr", "ssim", "mse"))})
    ),
    "infinite scores": parquet(lambda t: t.assign(psnr_y=np.inf, ssim_y=-np.inf)),
    "huge scores": parquet(lambda t: t.assign(psnr_y=[1e308, -1e308] * (len(t) // 2))),
    "no times": parquet(lambda t: t.assign(created_at=pd.NaT, seconds_total=None)),
    "negative times": parquet(lambda t: t.assign(seconds_total=-1.0)),
    "every row twice": parquet(lambda t: pd.concat([t, t])),
    "all failed": parquet(lambda t: t.assign(status="failed", error="of\nits own", psnr_y=None)),
    "an unknown status": parquet(lambda t: t.assign(status="perhaps")),
    "no parts": parquet(lambda t: t.assign(segmenter=None, estimator=None, upscaler=None)),
    "more columns": parquet(lambda t: t.assign(more=1)),
    "categories": parquet(lambda t: t.assign(method=t["method"].astype("category"))),
    "single precision": parquet(lambda t: t.assign(psnr_y=t["psnr_y"].astype("float32"))),
    "a later minor version": versioned("1.9"),
    "markup": parquet(lambda t: t.assign(image="[red]x[/b]", method=t["method"] + "[/i]", dataset="[/b]")),
    "letters of TeX": parquet(lambda t: t.assign(image="$\\frac", method=t["method"] + "$^$")),
    "one row": parquet(lambda t: t.iloc[:1]),
}


@pytest.mark.parametrize("damage", [*UNREADABLE.values(), *UNUSABLE.values()], ids=[*UNREADABLE, *UNUSABLE])
def test_a_report_that_cannot_be_used(mkgan, report: Path, damage: Callable[[bytes], bytes], original: Path) -> None:
    report.write_bytes(damage(report.read_bytes()))
    page = report.with_name("page.html")
    for command in (
        ["report", str(report)],
        ["report", "damaged", "--store", str(report.parents[2]), "--html", str(page)],
        ["compare", str(original / "report.parquet"), str(report)],
    ):
        code, out, err = mkgan(*command)
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert str(report) in err
        assert "Traceback" not in err
    assert not page.exists()


@pytest.mark.parametrize("damage", ODD.values(), ids=list(ODD))
def test_an_odd_report_is_shown(mkgan, report: Path, damage: Callable[[bytes], bytes], original: Path) -> None:
    report.write_bytes(damage(report.read_bytes()))
    page = report.with_name("page.html")
    code, out, err = mkgan("report", str(report), "--html", str(page))
    assert code == 0
    assert "bicubic" in out
    assert "Traceback" not in out + err
    assert page.stat().st_size > 5000
    code, out, err = mkgan("compare", str(original / "report.parquet"), str(report), "--html", str(page))
    assert code in (0, 2)  # with other names of images there is nothing to compare
    assert "Traceback" not in out + err


@pytest.mark.parametrize("name", ["regions.parquet", "images.parquet"])
@pytest.mark.parametrize("damage", UNREADABLE.values(), ids=list(UNREADABLE))
def test_a_damaged_table_beside_a_report_costs_itself(
    mkgan, report: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    beside = report.with_name(name)
    beside.write_bytes(damage(beside.read_bytes()))
    page = report.with_name("page.html")
    code, out, err = mkgan("report", str(report), "--html", str(page))
    assert code == 0
    assert "bicubic+back-projection − bicubic" in out
    assert err.count("\n") == 1
    assert name in err
    assert name in page.read_text()


@pytest.mark.parametrize("name", ["regions.parquet", "images.parquet"])
def test_odd_tables_beside_a_report(mkgan, report: Path, name: str) -> None:
    beside, page = report.with_name(name), report.with_name("page.html")
    whole = beside.read_bytes()
    changes: list[Callable[[pd.DataFrame], pd.DataFrame]] = [
        lambda t: t.iloc[:0],
        lambda t: pd.concat([t, t]),
        lambda t: t.assign(**{n: None for n in t if n not in ("image", "scale", "method", "seed", "region")}),
        lambda t: t.assign(image="elsewhere"),
        lambda t: t.assign(scale=10**6),
        lambda t: t.assign(**{n: 0 for n in ("height", "width", "area_px") if n in t}),
        lambda t: t.assign(**{n: np.inf for n in t if "psnr" in n or n in ("texture", "object_share")}),
    ]
    for change in changes:
        beside.write_bytes(parquet(change)(whole))
        code, out, err = mkgan("report", str(report), "--html", str(page))
        assert code == 0
        assert "Traceback" not in out + err
    beside.unlink()
    code, _, err = mkgan("report", str(report), "--html", str(page))
    assert (code, err) == (0, "")


def test_what_is_no_file_is_refused(mkgan, report: Path) -> None:
    report.unlink()
    os.mkfifo(report)  # which nobody ever writes to
    for arguments in (["report", str(report)], ["report", "damaged", "--store", str(report.parents[2])]):
        code, _, err = mkgan(*arguments)
        assert code == 2
        assert "report.parquet" in err
    report.unlink()
    report.mkdir()
    code, _, err = mkgan("report", str(report))
    assert code == 2
    assert "report.parquet" in err
    assert err.count("\n") == 1


def test_names_are_printed_as_they_are(mkgan, report: Path) -> None:
    """Brackets are no markup, and a message with a line break or a control character stays on its line."""
    names = {"im_1": "[red]x.png", "im_2": "[/b]"}
    error = "no [/b] here\nfailed: nothing\x1b[31m http://alice:secretpw@h/x"

    def change(table: pd.DataFrame) -> pd.DataFrame:
        failed = (table["image"] == "im_2") & (table["method"] == METHODS[1])
        return table.assign(
            image=table["image"].replace(names),
            status=table["status"].mask(failed, "failed"),
            error=table["error"].mask(failed, error),
            psnr_y=table["psnr_y"].mask(table["method"] == METHODS[1], 1.0),
        )

    report.write_bytes(parquet(change)(report.read_bytes()))
    code, out, _ = mkgan("report", str(report))
    assert code == 0
    assert f"{METHODS[1]} is behind bicubic on: [red]x.png" in out
    (line,) = [line for line in out.splitlines() if line.startswith("failed: ")]
    assert line == f"failed: [/b] {METHODS[1]} seed 0: no [/b] here failed: nothing\\x1b[31m http://***@h/x"


def test_a_page_has_to_have_a_place(mkgan, report: Path, tmp_path: Path) -> None:
    folder, closed, pipe = tmp_path / "folder", tmp_path / "file", tmp_path / "pipe"
    folder.mkdir()
    closed.write_text("")
    os.mkfifo(pipe)
    before = sorted(tmp_path.rglob("*"))
    for place in (folder, closed / "page.html", pipe, tmp_path / "no" / "such" / "page.html"):
        code, out, err = mkgan("report", str(report), "--html", str(place))
        assert (code, out) == (2, "")
        assert err.count("\n") == 1
        assert str(place) in err
        assert "--html" in err
    assert sorted(tmp_path.rglob("*")) == before


def test_the_schema_names_every_column_that_a_report_needs() -> None:
    """So that the damages above are those of the contract."""
    assert {"image", "method", "psnr_y", "status", "seed", "scale", "created_at"} < set(report_schema().names[:-1])
