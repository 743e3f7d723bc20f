"""What a run shows in the UI: safe for its JSON, small enough, and compared with the run before."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from prefect import flow

from flows import artifacts
from flows.benchmark import benchmark
from flows.config import BenchmarkConfig
from flows.names import run_id, sentence, slug
from mkgan_core.machine.places import public_url
from mkgan_core.machine.storage import Store
from mkgan_core.reports import ranking, runs
from mkgan_core.reports.contact_sheet import shrunk
from mkgan_core.reports.runs import Run
from tests.drive import benchmark as benchmark_plainly

METHODS = ["bicubic", "bicubic+back-projection", "given/bicubic+back-projection"]


@pytest.fixture
def run(dataset_folder: Path, tmp_path: Path) -> Run:
    return runs.open_run(benchmark_plainly(dataset_folder, str(tmp_path / "store"), METHODS), "memory://unused")


def everything(run: Run, before: Run | None = None) -> list[list[dict]]:
    return [artifacts.comparison(run, before), artifacts.paired_statistics(run), artifacts.per_image(run)[0]]


def test_tables_of_a_run(run: Run) -> None:
    comparison, statistics, images = everything(run, run)
    assert [row["method"] for row in comparison] == METHODS
    assert set(comparison[0]) >= {"PSNR Y", "vs bicubic", "change", "SSIM Y", "failed", "s/image"}
    best = ranking.best(run.rows)
    assert {row["comparison"] for row in statistics} == {f"{a} − {b}" for a, b in run.pairs}
    assert statistics[0]["comparison"].startswith(f"{best} − ")
    assert list(comparison[0])[:4] == ["method", "PSNR Y", "vs bicubic", "s/image"]
    assert re.fullmatch(r"(\*\*)?\d\d\.\d\d(\*\*)?", comparison[0]["PSNR Y"])  # with its digits
    marked = [row["method"] for row in comparison if row["PSNR Y"].startswith("**")]
    assert best in marked
    assert {row["PSNR Y"] for row in comparison if row["method"] in marked} == {
        comparison[METHODS.index(best)]["PSNR Y"]
    }
    assert statistics[0]["images"] == "all"
    gaps = [float(row["difference"]) for row in images]
    assert gaps == sorted(gaps)
    assert set(images[0]) == {"image", *METHODS, "difference"}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_no_number_breaks_the_page(run: Run, bad: float) -> None:
    rows = run.rows.copy()
    rows.loc[rows["image"] == "im_1", ["psnr_y", "ssim_y", "mse_rgb", "kernel_psnr"]] = bad
    for table in everything(replace(run, rows=rows), run):
        assert json.loads(json.dumps(table, allow_nan=False)) == table


def test_a_run_in_which_all_failed(run: Run) -> None:
    rows = run.rows.assign(status="failed", error="out of luck", psnr_y=np.nan)
    ruined = replace(run, rows=rows)
    comparison, statistics, images = everything(ruined, run)
    assert [row["failed"] for row in comparison] == ["2", "2", "2"]
    assert statistics == images == []
    assert "no method finished" in artifacts.summary(ruined, Store("memory://store"), "memory://store/x/report.html")
    text = artifacts.summary(ruined, Store("memory://store"), "memory://store/runs/x/report.html")
    assert "6 of 6 rows failed" in text
    assert "mkgan retry run" in text
    assert "out of luck" in text


def test_names_and_errors_are_no_markdown(run: Run) -> None:
    """Prefect's UI reads the cells of its tables as Markdown too."""
    names = {"im_1": "<img src=x onerror=alert(1)>", "im_2": "![x](javascript:alert(1)) | `a` *b*"}
    rows = run.rows.assign(image=run.rows["image"].replace(names))
    rows["psnr_y"] += np.where(rows["method"] == "bicubic", 9.0, 0.0)  # all others are behind it
    last = rows.index[-1]
    rows.loc[last, ["status", "error"]] = ["failed", "no ``` here\n# <script>alert(1)</script> http://a:secretpw@h/x"]
    odd = replace(run, rows=rows, title="<b>[x](y)", notes=("regions.parquet | <i>",))
    store = Store("memory://store")
    shown = [artifacts.summary(odd, store, "memory:///store/runs/`x`/report.html")]
    shown += [cell for table in everything(odd) for row in table for cell in row.values() if isinstance(cell, str)]
    for text in shown:
        outside = re.sub(r"(`+).*?(?<!`)\1(?!`)", "", text)  # without what is code
        ours = re.sub(r"\*\*(\+?\d[^*]*|[^*]* (dB|bicubic) [^*]*)\*\*", r"\1", outside)  # the best, bold
        assert not re.search(r"(?<!\\)[<>\[\]|`*]", ours.replace("](", "")), text
        assert "secretpw" not in text
    (line,) = [line for line in shown[0].splitlines() if "<script>" in line]
    assert line.startswith("- ")
    assert "````no ``` here # <script>" in line


def test_what_is_shown_never_ends_a_run(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each thing that cannot be shown costs itself and is logged; the page does not wait for the server."""
    config = BenchmarkConfig(dataset="tiny", methods=["bicubic"], store=(tmp_path / "store").as_uri())

    def rejected(**_: object) -> None:
        raise ArithmeticError("rejected")

    made: list[str] = []
    monkeypatch.setattr(artifacts, "create_table_artifact", rejected)
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda **given: made.append(given["key"]))
    monkeypatch.setattr(artifacts.page, "render", lambda _: "page")

    @flow
    def published() -> None:
        artifacts.publish(run, config, b"no picture")

    state = published(return_state=True)
    assert state.is_completed()
    assert made == ["report-tiny-x2"]
    assert (tmp_path / "store" / "runs" / "run" / "report.html").read_text() == "page"


def test_change_is_measured_on_the_images_of_both_runs(run: Run) -> None:
    rows = run.rows.copy()
    rows["psnr_y"] -= np.where(rows["image"] == "im_1", 0.25, 7)
    before = replace(run, rows=rows[(rows["image"] == "im_1") & (rows["method"] != "bicubic")])
    assert [row["change"] for row in artifacts.comparison(run, before)] == ["–", "+0.250", "+0.250"]


def test_thousands_of_images_stay_small(run: Run) -> None:
    many = [
        run.rows.assign(image=f"im_{n}", psnr_y=lambda t, n=n: t["psnr_y"] + n * (t.index % 3)) for n in range(3000)
    ]
    rows, about = artifacts.per_image(replace(run, rows=pd.concat(many, ignore_index=True)))
    assert len(rows) == artifacts.IMAGE_ROWS
    assert "of 3000 images" in about
    assert len(json.dumps(rows)) < 200_000
    noise = np.random.default_rng(0).integers(0, 255, (4000, 2000, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")
    assert len(shrunk(out.getvalue(), artifacts.SHEET_BYTES)) <= artifacts.SHEET_BYTES


def test_public_addresses(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert public_url(store, store.uri_of("runs/a/report.html")) is None
    monkeypatch.setenv("MKGAN_PUBLIC_URL", "https://example.org/mkgan/")
    assert public_url(store, store.uri_of("runs/a/report.html")) == "https://example.org/mkgan/runs/a/report.html"


def test_links_can_be_clicked_where_browsers_reach_the_store(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = Store(str(tmp_path / "store"))
    page = store.uri_of("runs/a run/report.html")
    plain = artifacts.summary(run, store, page)
    assert "](<" not in plain and page in plain
    assert artifacts.page_link(store, page) == ""
    monkeypatch.setenv("MKGAN_PUBLIC_URL", "https://example.org/mkgan/")
    found = re.findall(r"\[([^]]+)\]\(<([^>]+)>\)", artifacts.summary(run, store, page))
    names = ["report.html", "report.parquet", "regions.parquet", "images.parquet", "contact-sheet.png"]
    assert found == [(name, f"https://example.org/mkgan/runs/a%20run/{name}") for name in names]
    assert "https://example.org/mkgan/runs/a%20run/report.html" in artifacts.page_link(store, page)


def test_names() -> None:
    config = BenchmarkConfig(dataset="s3://bucket/DIV2KRK v2/", methods=["bicubic"], scale=4)
    assert slug(config) == "div2krk-v2-x4"
    scheduled = ["01a2024b-de50-7a26-88eb-7ab12977ff92", "01a2024b-de50-7c2d-9dfa-0f93ffe96ba9"]  # in the same moment
    assert [run_id(config, run) for run in scheduled] == ["div2krk-v2-x4-fast-2977ff92", "div2krk-v2-x4-fast-ffe96ba9"]
    assert sentence(config) == "compare bicubic on DIV2KRK v2 x4, preset fast"
    secret = BenchmarkConfig(dataset="http://alice:secretpw@h:81/", methods=["bicubic"])
    assert (slug(secret), sentence(secret)) == ("h-81-x2", "compare bicubic on h:81 x2, preset fast")


def test_a_run_is_compared_with_the_one_before(dataset_folder: Path, tmp_path: Path) -> None:
    config = BenchmarkConfig(dataset=str(dataset_folder), methods=["bicubic"], store=(tmp_path / "store").as_uri())
    other = config.model_copy(update={"preset": "paper"})
    first = run_id(config, str(benchmark(config, return_state=True).state_details.flow_run_id))
    benchmark(other, return_state=True)
    found = artifacts.previous(config)
    assert found and found.names == (first,)
    assert artifacts.previous(config.model_copy(update={"store": "memory://elsewhere"})) is None
    assert (tmp_path / "store" / "runs" / first / "report.html").stat().st_size > 10_000
