"""The statistics against scipy called directly, on a synthetic report of 100,000 rows among others."""

from __future__ import annotations

import io
import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mkgan_core.errors import ConfigError
from mkgan_core.machine.storage import Store
from mkgan_core.reports import ranking, runs, statistics
from mkgan_core.reports.rows import write
from mkgan_core.reports.schema import report_schema
from mkgan_core.reports.tables import comparison

METHODS = ("bicubic", "kernelgan+zssr", "fft-texture/kernelgan+zssr", "spectral+zssr")


def synthetic(images: int, seeds: int, methods: tuple[str, ...] = METHODS) -> pd.DataFrame:
    """A report with known gains: 0, 1, 1.2 and 2 dB over bicubic on average."""
    rng = np.random.default_rng(0)
    grid = pd.MultiIndex.from_product(
        [[f"im_{n}" for n in range(images)], methods, range(seeds)], names=["image", "method", "seed"]
    ).to_frame(index=False)
    base = dict(zip(grid["image"].unique(), rng.normal(30, 3, images), strict=True))
    gain = dict(zip(methods, (0, 1, 1.2, 2), strict=True))
    psnr = grid["image"].map(base) + grid["method"].map(gain) + rng.normal(0, 0.5, len(grid))
    parts = grid["method"].str.extract(r"^(?:(?P<segmenter>[^/]+)/)?(?:(?P<estimator>[^+]+)\+)?(?P<upscaler>.+)$")
    return grid.assign(
        **parts.fillna({"segmenter": "whole"}),
        **dict.fromkeys(["ssim_y", "ssim_rgb"], psnr / 50),
        psnr_y=psnr,
        psnr_rgb=psnr - 1,
        mse_rgb=255**2 / 10 ** (psnr / 10),
        run_id="run",
        dataset="synthetic",
        scale=2,
        preset="fast",
        status="ok",
        error=None,
        kernel_psnr=20.0,
        seconds_total=1.0,
    )


def expected(rows: pd.DataFrame, a: str, b: str, score: str = "psnr_y") -> np.ndarray:
    """Per-image differences, written out."""
    return np.array(
        [
            np.mean(group.loc[group["method"] == a, score]) - np.mean(group.loc[group["method"] == b, score])
            for _, group in rows.groupby("image", sort=False)
        ]
    )


def test_against_scipy() -> None:
    rows = synthetic(40, 3)
    a, b = "fft-texture/kernelgan+zssr", "kernelgan+zssr"
    found = statistics.paired(statistics.score_table(rows), a, b)
    gaps = expected(rows, a, b)
    assert found.images == 40
    assert found.mean == pytest.approx(gaps.mean())
    assert found.median == pytest.approx(np.median(gaps))
    assert found.std == pytest.approx(gaps.std(ddof=1))
    assert found.win_rate == np.mean(gaps > 0)
    assert found.p_value == pytest.approx(stats.wilcoxon(gaps).pvalue)
    theirs = stats.bootstrap(
        (gaps,), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=0.003)
    # and the bootstrap itself against the normal interval of the mean
    assert found.high - found.low == pytest.approx(2 * 1.96 * gaps.std(ddof=1) / math.sqrt(40), rel=0.1)


def test_lower_is_better_for_errors() -> None:
    rows = synthetic(20, 1)
    table = statistics.score_table(rows, "mse_rgb")
    found = statistics.paired(table, "spectral+zssr", "bicubic", "mse_rgb")
    assert found.mean < 0
    assert found.win_rate == np.mean(expected(rows, "spectral+zssr", "bicubic", "mse_rgb") < 0) > 0.9


def test_only_images_that_both_finished() -> None:
    rows = synthetic(10, 2)
    rows.loc[(rows["image"] == "im_3") & (rows["method"] == "bicubic"), "status"] = "failed"
    rows.loc[(rows["image"] == "im_4") & (rows["method"] == "bicubic") & (rows["seed"] == 0), "status"] = "failed"
    rows.loc[(rows["image"] == "im_5") & (rows["method"] == "bicubic"), "psnr_y"] = np.inf
    gaps = statistics.differences(statistics.score_table(rows), "spectral+zssr", "bicubic")
    assert [image for image, _ in gaps.index] == [f"im_{n}" for n in range(10) if n not in (3, 5)]
    with pytest.raises(ConfigError, match=r"'zssr'.* bicubic"):
        statistics.differences(statistics.score_table(rows), "zssr", "bicubic")


def test_too_few_images_claim_nothing() -> None:
    found = statistics.paired(statistics.score_table(synthetic(1, 2)), "spectral+zssr", "bicubic")
    assert found.images == 1
    assert all(math.isnan(value) for value in (found.std, found.low, found.high, found.p_value))
    same = synthetic(5, 1).assign(psnr_y=30.0)
    found = statistics.paired(statistics.score_table(same), "spectral+zssr", "bicubic")
    assert (found.low, found.high, found.p_value, found.win_rate) == (0, 0, 1, 0)


@pytest.mark.parametrize(("images", "groups"), [(20, ["low", "high"]), (60, ["low", "middle", "high"])])
def test_splits_tell_where_a_gain_comes_from(images: int, groups: list[str]) -> None:
    """A gain that grows with the blur difference shows there, and not in what is the same everywhere."""
    rows = synthetic(images, 1)
    blur = np.linspace(0, 1, images)
    a, b = "fft-texture/kernelgan+zssr", "kernelgan+zssr"
    better = rows["method"] == a
    rows.loc[better, "psnr_y"] += 3 * rows["image"].map(dict(zip(rows["image"].unique(), blur, strict=True)))
    properties = pd.DataFrame({"image": rows["image"].unique(), "scale": 2, "blur_difference": blur, "texture": 5.0})
    found = statistics.splits(statistics.score_table(rows), a, b, properties)
    assert list(found["property"].unique()) == ["blur_difference"]
    assert list(found["group"]) == groups
    assert found["images"].sum() == images
    assert found["mean"].is_monotonic_increasing
    gaps = expected(rows, a, b)
    assert found["mean"].iloc[0] == pytest.approx(gaps[: images // len(groups)].mean())
    assert found["p_value"].iloc[-1] == pytest.approx(stats.wilcoxon(gaps[-images // len(groups) :]).pvalue)
    assert found["from"].iloc[0] == 0
    assert found["to"].iloc[-1] == 1


def test_spread_over_seeds() -> None:
    """The standard deviation of the data set's means, which is not that of the images."""
    rows = synthetic(30, 5)
    means = comparison(rows).set_index("method")
    by_hand = [rows[(rows["method"] == "spectral+zssr") & (rows["seed"] == seed)]["psnr_y"].mean() for seed in range(5)]
    assert means.loc["spectral+zssr", "psnr_y_std"] == pytest.approx(np.std(by_hand, ddof=1))
    assert means.loc["spectral+zssr", "psnr_y"] == pytest.approx(np.mean(by_hand))
    assert (means["seeds"] == 5).all()
    assert comparison(synthetic(5, 1))["psnr_y_std"].isna().all()


def test_a_report_is_about_its_best_blind_method() -> None:
    rows = synthetic(3, 1)
    best, single, multi = "spectral+zssr", "kernelgan+zssr", "fft-texture/kernelgan+zssr"
    assert ranking.natural_pairs(rows) == [(best, "bicubic"), (best, single), (best, multi), (multi, single)]
    known = rows.assign(estimator=rows["estimator"].replace("spectral", "ground-truth"))
    best = ranking.best(known)
    assert best in (single, multi)
    assert ranking.natural_pairs(known)[0] == (best, "bicubic")
    assert (best, "spectral+zssr") in ranking.natural_pairs(known)  # against the oracle, which does not compete
    assert ranking.oracles(known) == {"spectral+zssr"}


def test_who_did_not_finish_all_images_does_not_compete() -> None:
    rows = synthetic(3, 1)
    rows.loc[(rows["method"] == "spectral+zssr") & (rows["image"] == "im_0"), ["status", "psnr_y"]] = ["failed", None]
    assert ranking.best(rows) != "spectral+zssr"
    marked = ranking.marks(comparison(rows).to_dict("records"), set())
    assert all("spectral+zssr" not in methods for methods in marked.values())
    assert ranking.best(rows.assign(status="failed")) is None
    assert ranking.natural_pairs(rows.assign(status="failed")) == [("fft-texture/kernelgan+zssr", "kernelgan+zssr")]
    assert ranking.headline(rows.assign(status="failed")) == "no method finished an image"


def test_cautions_say_what_the_intervals_cover() -> None:
    """The coverage named for few images is that of the percentile interval of normal differences."""
    rng = np.random.default_rng(0)
    n, hits, trials = 6, 0, 400
    for _ in range(trials):
        table = pd.DataFrame({"a": rng.normal(size=n), "b": np.zeros(n)})
        found = statistics.paired(table, "a", "b")
        hits += found.low < 0 < found.high
    said = ranking.caution(n)
    assert said
    named = int(re.findall(r"(\d+) % instead", said)[0])
    assert abs(100 * hits / trials - named) < 6  # three standard errors
    assert ranking.caution(ranking.FEW) is None


def test_a_hundred_thousand_rows() -> None:
    """12,500 images, 4 methods, 2 seeds: the same numbers as numpy and scipy give."""
    rows = synthetic(12_500, 2)
    assert len(rows) == 100_000
    table = statistics.score_table(rows)
    found = statistics.paired(table, "spectral+zssr", "bicubic")
    a, b = (rows[rows["method"] == name] for name in ("spectral+zssr", "bicubic"))
    gaps = a.groupby("image")["psnr_y"].mean() - b.groupby("image")["psnr_y"].mean()
    assert found.images == 12_500
    assert found.mean == pytest.approx(gaps.mean())
    assert found.p_value == pytest.approx(stats.wilcoxon(gaps).pvalue)
    assert found.low < gaps.mean() < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * gaps.std() / math.sqrt(12_500), rel=0.1)
    assert comparison(rows).set_index("method").loc["spectral+zssr", "images"] == 12_500


def stored(rows: pd.DataFrame, store: Store, run_id: str) -> runs.Run:
    wanted = report_schema().names
    full = rows.assign(run_id=run_id, version="1", created_at=pd.Timestamp("2026-01-01", tz="UTC"))
    records = [{k: v for k, v in r.items() if k in wanted and v == v} for r in full.to_dict("records")]
    uri = write(runs.RunFolder.of(run_id, store.uri), records, [])
    return runs.open_run(uri, "memory://elsewhere")


def test_two_runs_side_by_side() -> None:
    store = Store("memory://two-runs")
    first = stored(synthetic(6, 1), store, "a")
    better = synthetic(8, 1).assign(psnr_y=lambda t: t["psnr_y"] + 0.5 * (t["method"] != "bicubic"))
    both = runs.beside(first, stored(better, store, "b"))
    assert set(both.rows["image"]) == {f"im_{n}" for n in range(6)}
    assert list(both.rows["method"].unique()) == ["bicubic", *(f"{m} ({x})" for x in "AB" for m in METHODS[1:])]
    assert both.pairs[0] == ("kernelgan+zssr (B)", "kernelgan+zssr (A)")
    assert "A: synthetic x2, preset fast, a" in both.title
    other = stored(synthetic(6, 1).assign(preset="paper"), store, "c")
    assert "kernelgan+zssr (paper)" in set(runs.beside(first, other).rows["method"])
    elsewhere = stored(synthetic(6, 1).assign(scale=4), store, "d")
    with pytest.raises(ConfigError, match=r" a \(.* d \("):
        runs.beside(first, elsewhere)


def test_reports_of_earlier_versions_open(tmp_path) -> None:
    """They had neither images.parquet nor where the pictures are."""
    store = Store(str(tmp_path))
    stored(synthetic(3, 1), store, "old")
    (tmp_path / "runs" / "old" / "images.parquet").unlink()
    (tmp_path / "runs" / "old" / "regions.parquet").unlink()
    old = pd.read_parquet(tmp_path / "runs" / "old" / "report.parquet").drop(
        columns=["output_uri", "kernel_similarity"]
    )
    data = io.BytesIO()
    old.to_parquet(data)
    store.write("runs/old/report.parquet", data.getvalue())
    run = runs.open_run("old", store.uri)
    assert run.images.empty
    assert len(run.rows) == 12
    assert runs.beside(run, run).images.empty
