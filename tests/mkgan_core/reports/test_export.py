"""A run as files: images by method, tables for spreadsheets, Markdown and LaTeX."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mkgan_core.machine.storage import Store
from mkgan_core.reports import runs
from mkgan_core.reports.export import Exported, export
from mkgan_core.reports.runs import Run
from mkgan_core.reports.tables import comparison
from tests.drive import benchmark

METHODS = ["bicubic", "bicubic+back-projection", "given/ground-truth+back-projection"]


@pytest.fixture
def run(dataset_folder: Path, tmp_path: Path) -> Run:
    return runs.open_run(benchmark(dataset_folder, str(tmp_path / "store"), METHODS), "memory://unused")


def exported(run: Run, folder: Path) -> Exported:
    return export(run, Store(str(folder)))


def test_images_are_where_other_programs_look(run: Run, tmp_path: Path) -> None:
    done = exported(run, tmp_path / "out")
    folders = {name: name.replace("/", "_") for name in METHODS}
    assert sorted(done.images) == sorted(f"{folders[m]}/{i}.png" for m in METHODS for i in ("im_1", "im_2"))
    assert not done.lacking
    for row in run.rows.to_dict("records"):
        file = tmp_path / "out" / folders[row["method"]] / f"{row['image']}.png"
        assert file.read_bytes() == run.read(row["output_uri"])
        assert Image.open(file).size == (240, 192)


def test_tables_have_the_figures_of_the_report(run: Run, tmp_path: Path) -> None:
    done = exported(run, tmp_path)
    kinds = [f"{name}.{kind}" for name in ("comparison", "differences", "images") for kind in ("csv", "md", "tex")]
    assert sorted(done.tables) == sorted([*kinds, "report.csv"])
    means = comparison(run.rows)
    read = pd.read_csv(tmp_path / "comparison.csv")
    assert np.allclose(read["psnr_y"], means["psnr_y"])
    assert list(read["oracle"]) == [False, False, True]
    assert len(pd.read_csv(tmp_path / "report.csv")) == len(run.rows)
    pairs = pd.read_csv(tmp_path / "differences.csv")
    assert list(zip(pairs["a"], pairs["b"], strict=True)) == list(run.pairs)
    best = means["psnr_y"].iloc[:2].max()
    markdown, latex = (tmp_path / f"comparison.{kind}" for kind in ("md", "tex"))
    assert f"**{best:.2f}**" in markdown.read_text()
    assert f"\\textbf{{{best:.2f}}}" in latex.read_text()
    assert f"{means['psnr_y'].iloc[2]:.2f}" in latex.read_text()
    assert f"\\textbf{{{means['psnr_y'].iloc[2]:.2f}}}" not in latex.read_text()  # the oracle
    lines = markdown.read_text().splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert len(lines) == 2 + len(METHODS)


def test_odd_names_are_files_and_cells(run: Run, tmp_path: Path) -> None:
    names = {"im_1": "../../im|1", "im_2": "50 %_$x$ & y"}
    rows = run.rows.assign(image=run.rows["image"].replace(names), method=run.rows["method"].replace("bicubic", ".."))
    out = tmp_path / "a" / "out"
    done = exported(replace(run, rows=rows), out)
    files = [path for path in tmp_path.rglob("*.png") if "store" not in path.parts and "tiny" not in path.parts]
    assert len(files) == len(done.images) == 6
    assert all(out in path.parents for path in files)
    lines = (out / "images.md").read_text().splitlines()
    assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1
    latex = (out / "images.tex").read_text()
    assert r"50 \%\_\$x\$ \& y" in latex


def test_a_lost_image_costs_itself_and_a_failed_row_has_none(run: Run, tmp_path: Path) -> None:
    Path(run.rows["output_uri"].iloc[0].removeprefix("file://")).unlink()
    rows = run.rows.copy()
    rows.loc[5, ["status", "error", "output_uri", "psnr_y"]] = ["failed", "out of luck", None, None]
    done = exported(replace(run, rows=rows), tmp_path / "out")
    assert len(done.images) == 4
    assert len(done.lacking) == 1
    assert done.lacking[0].startswith("im_1 bicubic seed 0: ")


def test_further_seeds_have_names_of_their_own(run: Run, tmp_path: Path) -> None:
    both = pd.concat([run.rows, run.rows.assign(seed=7)], ignore_index=True)
    done = exported(replace(run, rows=both), tmp_path / "out")
    assert {"bicubic/im_1.png", "bicubic/im_1_seed7.png"} <= set(done.images)
    assert len(done.images) == len(set(done.images)) == 12


def test_a_run_in_which_all_failed(run: Run, tmp_path: Path) -> None:
    rows = run.rows.assign(status="failed", error="out of luck", psnr_y=np.nan, output_uri=None)
    done = exported(replace(run, rows=rows), tmp_path / "out")
    assert not done.images
    assert len(done.tables) == 10
    assert pd.read_csv(io.StringIO((tmp_path / "out" / "comparison.csv").read_text()))["images"].tolist() == [0, 0, 0]
