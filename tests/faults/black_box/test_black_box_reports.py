"""FAULTS.md, what damaged reports did to `report` and `compare`: M4, M5, M6, and of the L-class."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from tests.faults.black_box.attack import Finished, provoked
from tests.faults.black_box.material import photograph, save
from tests.loopback import counting

pytestmark = pytest.mark.e2e
HANG_S = 120
UNREADABLE = {
    "garbage": b"this is no table" * 20,
    "empty": b"",
    "CSV": b"image,method,psnr_y\nim_1,bicubic,30\n",
    "PAR1": b"PAR1" + b"\0" * 100 + b"PAR1",
}


def folder(finished: Finished) -> Path:
    return finished.mkgan.store / "runs" / finished.run


def rewrite(finished: Finished, table: str = "report", **columns: object) -> None:
    """The table with other values in some columns; `None` removes a column."""
    path = folder(finished) / f"{table}.parquet"
    rows = pd.read_parquet(path)
    for name, value in columns.items():
        provoked(name in rows, f"{table} has no column {name}")
        rows = rows.drop(columns=name) if value is None else rows.assign(**{name: value})
    rows.to_parquet(path)


@pytest.mark.parametrize("command", ["report", "html", "compare"])
@pytest.mark.parametrize("content", [*UNREADABLE, "cut", "without its scores"])
def test_a_report_that_cannot_be_used(finished: Finished, command: str, content: str, tmp_path: Path) -> None:
    """M5: refused by name."""
    path = folder(finished) / "report.parquet"
    if content in UNREADABLE:
        path.write_bytes(UNREADABLE[content])
    elif content == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        rewrite(finished, psnr_y=None, method=None)
    run = finished.run
    options = {"report": (run,), "html": (run, "--html", str(tmp_path / "x.html")), "compare": (run, run)}[command]
    done = finished.mkgan("compare" if command == "compare" else "report", *options)
    done.is_orderly(2)
    assert run in done.err


@pytest.mark.parametrize("table", ["regions", "images"])
def test_a_damaged_table_beside_a_report(finished: Finished, table: str, tmp_path: Path) -> None:
    """M5: it costs itself."""
    (folder(finished) / f"{table}.parquet").write_bytes(UNREADABLE["garbage"])
    done = finished.mkgan("report", finished.run, "--html", tmp_path / "x.html")
    done.is_orderly(0)
    assert (tmp_path / "x.html").stat().st_size > 10_000


def test_no_score_at_all(finished: Finished, tmp_path: Path) -> None:
    """M5: all PSNR are NaN, and a page is asked for."""
    rewrite(finished, psnr_y=float("nan"))
    finished.mkgan("report", finished.run, "--html", tmp_path / "x.html").is_orderly(0, 2)


def test_an_error_that_looks_like_markup(finished: Finished) -> None:
    """M4: the text of a failed row is printed as it is."""
    rewrite(finished, status="failed", error="it said [/b] and [red]stop")
    done = finished.mkgan("report", finished.run)
    done.is_orderly(0, 1)
    if "it said" in done.said:
        assert "it said [/b] and [red]stop" in done.said


def test_a_pipe_in_the_place_of_a_picture(finished: Finished, tmp_path: Path) -> None:
    """M6: the page of a report whose picture is a pipe is made."""
    (picture,) = {Path(uri.removeprefix("file://")) for uri in finished.rows["output_uri"][:1]}
    picture.unlink()
    os.mkfifo(picture)
    finished.mkgan("report", finished.run, "--html", tmp_path / "x.html", patience_s=HANG_S).is_orderly(0, 2)


def test_a_folder_in_the_place_of_the_page(finished: Finished, tmp_path: Path) -> None:
    """L-class: refused, and nothing is left in the folder."""
    taken = tmp_path / "folder"
    taken.mkdir()
    done = finished.mkgan("report", finished.run, "--html", taken)
    assert not list(taken.iterdir())
    done.is_orderly(2)
    assert str(taken) in done.err


def test_reports_name_no_files_elsewhere(finished: Finished, tmp_path: Path) -> None:
    """L-class: nothing outside the store is read for a page: no address, and no picture of somebody's home."""
    import base64

    secret = save(tmp_path / "private" / "secret.png", photograph(192, 192, seed=9))
    plain = finished.mkgan("report", finished.run, "--html", tmp_path / "plain.html")
    plain.is_orderly(0)
    provoked("data:image" in (tmp_path / "plain.html").read_text(), "the page shows no pictures")
    with counting() as (address, asked):
        rewrite(finished, output_uri=f"{address}/picture.png")
        finished.mkgan("report", finished.run, "--html", tmp_path / "x.html").is_orderly(0, 2)
        assert not asked
    rewrite(finished, output_uri=secret.as_uri())
    finished.mkgan.using(BLACK_BOX_PIXELS=str(tmp_path / "pixels"))(
        "report", finished.run, "--html", tmp_path / "y.html"
    ).is_orderly(0, 2)
    page = (tmp_path / "y.html").read_text() if (tmp_path / "y.html").exists() else ""
    assert base64.b64encode(secret.read_bytes()).decode()[:200] not in page
    assert len(page) < len((tmp_path / "plain.html").read_text()), "it shows as many pictures as the whole one"
