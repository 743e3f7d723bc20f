"""Commands that show and write what a run found: `report`, `runs`, `export`, `compare`."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console

from flows.cli.terminal import print_comparison, print_statistics
from mkgan_core.reports.runs import open_run
from mkgan_core.reports.tables import comparison
from tests.drive import benchmark


@pytest.fixture
def two_reports(dataset_folder: Path, tmp_path: Path) -> list[str]:
    """Reports of two runs on the same images; the second has a method more."""
    store, methods = str(tmp_path / "store"), ["bicubic", "bicubic+back-projection"]
    return [
        benchmark(dataset_folder, store, methods, seeds=2, name="first"),
        benchmark(dataset_folder, store, [*methods, "given/bicubic+back-projection"], name="second"),
    ]


def test_report_prints_spread_and_statistics_and_writes_the_page(mkgan, two_reports: list[str], tmp_path: Path) -> None:
    code, out, _ = mkgan("report", two_reports[0])
    assert code == 0
    assert " ± 0.00" in out
    assert "bicubic+back-projection − bicubic" in out
    assert "95 % interval" in out
    target = tmp_path / "pages" / "page.html"
    pair = "bicubic,given/bicubic+back-projection"
    code, out, _ = mkgan("report", two_reports[1], "--html", str(target), "--pair", pair)
    assert code == 0
    assert "bicubic − given/bicubic+back-projection" in out
    assert out.strip().splitlines()[-1] == f"page: {target.as_uri()}"
    assert "<!doctype html>" in target.read_text()[:20]


def test_runs_are_listed_and_the_last_one_is_shown(mkgan, two_reports: list[str], tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    code, out, _ = mkgan("runs", "--store", store)
    assert code == 0
    assert all(name in out for name in ("first", "second", "tiny", "x2"))
    code, out, _ = mkgan("runs", "--store", store, "--limit", "1")
    assert "second" in out and "first" not in out
    code, out, _ = mkgan("report", "--store", store)
    assert code == 0
    assert "second" in out.splitlines()[0]
    assert "given/bicubic+back-projection" in out
    empty = str(tmp_path / "empty")
    assert mkgan("runs", "--store", empty)[0] == 0
    code, _, err = mkgan("report", "--store", empty)
    assert code == 2
    assert "--store" in err


def test_export_writes_images_and_tables_into_a_new_folder(mkgan, two_reports: list[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert mkgan("export", two_reports[1], str(out))[0] == 0
    assert (out / "given_bicubic+back-projection" / "im_1.png").exists()
    assert (out / "comparison.tex").exists()
    before = (out / "comparison.csv").read_bytes()
    code, _, err = mkgan("export", two_reports[0], str(out))
    assert code == 2
    assert "--overwrite" in err
    assert (out / "comparison.csv").read_bytes() == before
    assert mkgan("export", two_reports[0], str(out), "--overwrite")[0] == 0
    assert (out / "comparison.csv").read_bytes() != before
    shutil.rmtree(tmp_path / "store" / "artifacts")
    code, _, err = mkgan("export", two_reports[0], str(tmp_path / "again"))
    assert code == 1
    assert err.count("\n") == 8  # two images, two methods, two seeds
    assert (tmp_path / "again" / "comparison.md").exists()


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_narrow_terminal_gets_fewer_columns_and_whole_figures(
    two_reports: list[str], capsys: pytest.CaptureFixture[str], width: int
) -> None:
    run = open_run(two_reports[0], "memory://unused")
    console = Console(width=width, markup=False, emoji=False)
    print_comparison(run.rows, console, "a run")
    print_statistics(run, console)
    out = capsys.readouterr().out
    assert "…" not in out
    sentences = ("a run", "PSNR Y", "*", "Only", "oracle", "bicubic+back-projection is")  # the terminal wraps these
    assert all(len(line) <= width for line in out.splitlines() if not line.startswith(sentences))
    mean = comparison(run.rows).set_index("method")["psnr_y"]
    for name in ("bicubic", "bicubic+back-projection"):
        assert f"{mean[name]:.2f} ± 0.00" in out
    assert ("MSE RGB" in out) == (width == 200)


def test_compare_puts_two_runs_side_by_side(mkgan, two_reports: list[str], tmp_path: Path) -> None:
    code, out, _ = mkgan("compare", *two_reports, "--html", str(tmp_path / "both.html"))
    assert code == 0
    assert "bicubic+back-projection (B) − bicubic+back-projection (A)" in out
    assert "given/bicubic+back-projection" in out
    assert (tmp_path / "both.html").exists()
    code, out, err = mkgan("report", two_reports[0], "--pair", "bicubic,zssr")
    assert code == 2
    assert "--pair bicubic,zssr" in err
    assert "bicubic+back-projection" in err
    assert out == ""


def test_a_report_on_a_terminal_of_plain_letters(mkgan, two_reports: list[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stream = io.TextIOWrapper(io.BytesIO(), "ascii", errors="strict")
        patch.setattr(sys, "stdout", stream)
        code, *_ = mkgan("report", two_reports[0])
        stream.flush()
    assert code == 0
    assert b"bicubic+back-projection" in stream.buffer.getvalue()
