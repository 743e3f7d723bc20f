"""The page: everything in one file, nothing from elsewhere, faithful to the report."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mkgan_core.datasets.layout import Dataset
from mkgan_core.datasets.maker import DatasetMaker, Law
from mkgan_core.datasets.object_masks import MaskFolder
from mkgan_core.datasets.true_kernels import adopted
from mkgan_core.errors import DatasetError, StorageError
from mkgan_core.imaging import images
from mkgan_core.machine.storage import Store
from mkgan_core.reports import page, runs
from mkgan_core.reports import pictures as page_pictures
from mkgan_core.reports.image_rows import spec_of
from mkgan_core.reports.pictures import copy_side, pictures
from mkgan_core.reports.runs import Run
from tests.drive import benchmark

METHODS = ["bicubic", "bicubic+back-projection", "given/ground-truth+back-projection", "given/bicubic+back-projection"]


def two_blurs(folder: Path, names: Sequence[str], columns: Sequence[slice]) -> Path:
    """A two-blur set of tiny photographs, whose objects have these columns."""
    rng = np.random.default_rng(0)
    for name in names:
        coarse = Image.fromarray(rng.integers(0, 255, (40, 35, 3), np.uint8)).resize(
            (280, 320), Image.Resampling.BICUBIC
        )
        Store(str(folder / "hr")).write(f"{name}.png", images.encode_png(np.asarray(coarse) / 255))
        for number, place in enumerate(columns, 1):
            mask = np.zeros((320, 280), bool)
            mask[40:280, place] = True
            file = f"{name}.png" if number == 1 else f"{name}-{number}.png"
            Store(str(folder / "masks")).write(file, images.encode_png(mask))
    source = MaskFolder(str(folder / "masks"), per_object=len(columns) > 1)
    law = Law("two-blur", (2,), masks=source.about)
    DatasetMaker(str(folder / "hr"), str(folder / "set"), law, source).make()
    return folder / "set"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A two-blur set of three tiny photographs, four methods, two seeds."""
    folder = tmp_path_factory.mktemp("page")
    made = two_blurs(folder, ("hill", "im_1", "im_2"), [slice(40, 240)])
    uri = benchmark(made, str(folder / "store"), METHODS, seeds=2)
    return runs.open_run(uri, "memory://unused")


def decode(uri: str) -> np.ndarray:
    header, _, data = uri.partition(",")
    assert header in ("data:image/webp;base64", "data:image/png;base64")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def test_one_file_that_asks_for_nothing(run: Run) -> None:
    html = page.render(run)
    assert "default-src 'none'" in html
    for attribute, value in re.findall(r'\b(src|href|action|data)="([^"]*)"', html):
        assert value.startswith("data:"), attribute
    assert not re.search(r"https?://(?!www\.w3\.org)", re.sub(r"base64,[\w+/=]+", "", html))
    assert html.count('<article class="card"') == 3


def test_the_figures_are_those_of_the_report(run: Run) -> None:
    html = page.render(run)
    for name, group in run.rows.groupby("method"):
        line = re.search(rf'<tr data-method="{re.escape(str(name))}">.*?</tr>', html)
        assert line and f">{group['psnr_y'].mean():.2f} ± 0.00<" in line[0]
    assert "given/bicubic+back-projection − bicubic+back-projection" in html
    assert "difference of the two blurs" in html


def cell(html: str, method: str, column: int) -> str:
    """A cell of the comparison, with its tag."""
    table = re.search(r'<table id="comparison".*?</table>', html, re.S)
    line = table and re.search(rf'<tr data-method="{re.escape(method)}">.*?</tr>', table[0])
    assert line
    return re.findall(r"<td.*?</td>", line[0])[column]


def test_the_best_blind_method_is_marked_and_the_oracle_does_not_compete(run: Run) -> None:
    psnrs = dict(zip(METHODS, (30.0, 32.0, 35.0, 31.0), strict=True))
    seconds = dict(zip(METHODS, (0.1, 3.0, 0.05, 2.0), strict=True))
    rows = run.rows.assign(psnr_y=run.rows["method"].map(psnrs), seconds_total=run.rows["method"].map(seconds))
    html = page.render(replace(run, rows=rows))
    assert ['class="best"' in cell(html, name, 0) for name in METHODS] == [False, True, False, False]
    assert ['class="best"' in cell(html, name, 2) for name in METHODS] == [True, False, False, False]  # seconds
    assert ['class="best"' in cell(html, name, 5) for name in METHODS] == [False] * 4  # a count of images
    assert re.findall(r'<th scope="row">([^<]+) <span class="badge">', html)[0] == METHODS[2]
    assert '"right": "bicubic+back-projection"' in html
    assert "bicubic+back-projection +2.00 dB over bicubic on 3 images" in html


def test_few_images_are_cautioned_about(run: Run) -> None:
    assert "caution" in re.sub(r"<style>.*?</style>", "", page.render(run), flags=re.S)
    many = [run.rows.assign(image=run.rows["image"] + f"-{n}") for n in range(7)]
    html = page.render(replace(run, rows=pd.concat(many, ignore_index=True), images=run.images.iloc[:0]))
    assert "caution" not in re.sub(r"<style>.*?</style>", "", html, flags=re.S)


def test_pictures(run: Run) -> None:
    shown = list(pictures(run))
    assert [s["image"] for s in shown] == ["hill", "im_1", "im_2"]
    truth = images.decode(run.read(run.images["high_uri"].iloc[0]), "truth")
    first = shown[0]
    assert list(first["small"]) == list(first["detail"]) == ["input", *METHODS, "truth"]
    assert first["size"] == (280, 320)
    small = decode(first["small"]["truth"]) / 255
    assert np.sqrt(np.mean((small - truth) ** 2)) < 0.05
    left, top, side = first["detail_at"]
    detail = decode(first["detail"]["truth"]) / 255
    assert np.sqrt(np.mean((detail - truth[top : top + side, left : left + side]) ** 2)) < 0.05
    low = images.decode(run.read(run.images["low_uri"].iloc[0]), "low")
    squares = low.repeat(2, axis=0).repeat(2, axis=1)[top : top + side, left : left + side]
    assert np.sqrt(np.mean((decode(first["detail"]["input"]) / 255 - squares) ** 2)) < 0.05


def test_regions_are_outlined_where_they_are(run: Run) -> None:
    overlay = next(pictures(run))["overlays"]
    assert [set(o["methods"]) for o in overlay] == [{"given/ground-truth+back-projection", METHODS[3]}]
    assert overlay[0]["regions"] == [["object", "rgb(230, 159, 0)"]]
    layer = decode(overlay[0]["uri"])
    assert tuple(layer[41, 140]) == (230, 159, 0, 255)  # the object's upper edge
    assert 0 < layer[39, 140, 3] < 255  # its rim
    assert layer[160, 140, 3] == layer[10, 10, 3] == 0  # the picture is seen inside and outside


def test_kernels_share_a_colour_scale_and_stand_beside_the_truth(run: Run) -> None:
    shown = next(pictures(run))["kernels"]
    truths = sorted(k["region"] for k in shown if k["method"] == "truth")
    assert truths in (["background", "whole, object"], ["object", "whole, background"])  # whole: as most of its pixels
    assert {k["method"] for k in shown} == {"truth", "bicubic+back-projection", "given/bicubic+back-projection"}
    decoded = [decode(k["uri"]) for k in shown]
    assert {p.shape for p in decoded} == {(13, 13, 3)}
    top = [(p == (251, 252, 191)).all(axis=2).any() for p in decoded]  # magma's last colour
    peaked = [kernel["method"] for kernel, at_top in zip(shown, top, strict=True) if at_top]
    assert set(peaked) == {
        "bicubic+back-projection",
        "given/bicubic+back-projection",
    }  # the sharpest here, all the same


def test_each_object_has_its_true_kernel(tmp_path: Path) -> None:
    made = two_blurs(tmp_path, ["im_1"], [slice(40, 130), slice(150, 250)])
    uri = benchmark(made, str(tmp_path / "store"), ["given/bicubic+back-projection"])
    run = runs.open_run(uri, "memory://unused")
    (row,) = runs.records(run.images)
    (spec,) = Dataset(str(made)).plan(2)
    assert spec_of(row) == replace(spec, dataset=row["dataset"])
    blurs = [adopted(reference, 2) for reference in spec.truth.values()]
    assert len(blurs) == 3
    differences = [np.abs(blur - blurs[0]).sum() / 2 for blur in blurs[1:]]
    assert row["blur_difference"] == pytest.approx(np.mean(differences))
    assert row["object_share"] == pytest.approx(120 * (45 + 50) / (160 * 140))
    (shown,) = pictures(run)
    assert shown["lacking"] == []
    truths = [kernel["region"] for kernel in shown["kernels"] if kernel["method"] == "truth"]
    assert sorted(truths) == ["background", "object", "object-2"]
    for content in ("[]", "{", '{"object-2": 1}', '{"object-2": {"mask": "0"}}'):
        with pytest.raises(DatasetError, match="im_1"):
            spec_of({**row, "more_objects": content})


def test_a_page_for_a_hundred_images_keeps_its_budget(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The more pictures, the smaller they are; the sum is what counts."""
    few = copy_side(run)
    monkeypatch.setattr(page_pictures, "BUDGET_BYTES", 400_000)
    html = page.render(run)
    assert copy_side(run) < few
    shown = [json.loads(text) for text in re.findall(r'<script type="application/json">(.*?)</script>', html)]
    copies = sum(len(uri) for s in shown for kind in ("small", "detail") for uri in s[kind].values()) * 3 / 4
    assert copies < 1.2 * 400_000


def test_a_lost_or_damaged_file_costs_itself(run: Run, tmp_path: Path) -> None:
    gone, rows = run.images.copy(), run.rows.copy()
    gone.loc[0, "high_uri"] = f"{gone.loc[0, 'high_uri']}.gone"
    gone.loc[1, "low_uri"] = (tmp_path / "elsewhere.png").as_uri()
    uri = rows.loc[(rows["image"] == "im_1") & (rows["method"] == METHODS[1]), "output_uri"].iloc[0]
    made = Path(uri.removeprefix("file://"))
    whole = made.read_bytes()
    made.write_bytes(whole[:60])
    try:
        html = page.render(replace(run, images=gone, rows=rows))
    finally:
        made.write_bytes(whole)
    assert "Not shown: truth: " in html
    assert f"Not shown: {METHODS[1]}: " in html
    assert html.count('<div class="pictures">') == 3
    nothing = page.render(replace(run, images=gone, rows=rows.assign(output_uri=None)))
    assert nothing.count("No pictures: ") == 1  # no baseline without the low-resolution image
    without = page.render(replace(run, images=run.images.iloc[:0]))
    assert '<div class="pictures">' not in without


def test_names_are_escaped(run: Run) -> None:
    html = page.render(replace(run, title="<script>alert(1)</script>"))
    assert "<script>alert" not in html


def test_written_whole_or_not_at_all(run: Run, tmp_path: Path) -> None:
    page.write(run, tmp_path / "page.html")
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="--html"):
        page.write(run, tmp_path / "file" / "page.html")


def test_two_runs_on_one_page(run: Run) -> None:
    html = page.render(runs.beside(run, run))
    assert "bicubic+back-projection (B) − bicubic+back-projection (A)" in html
    assert html.count('<article class="card"') == 3
