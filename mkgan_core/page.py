"""A report as one self-contained HTML page: tables, statistics, plots and pictures, without any network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkgan_core import page_pictures, plots, report, statistics
from mkgan_core.errors import StorageError
from mkgan_core.page_pictures import TRUTH
from mkgan_core.runs import BASELINE, Run
from mkgan_core.statistics import PLACE
from mkgan_core.storage import Store

if TYPE_CHECKING:
    import pandas as pd

TEMPLATES = Path(__file__).parent / "templates"
MAX_PAIRS = 45  # ten methods, each against each; more would make the page heavy
SPREAD = ("psnr_y", "ssim_y")  # scores whose spread over seeds is shown beside the mean
HEADINGS = {
    "images": ("images", "{:.0f}"),
    "failed": ("failed", "{:.0f}"),
    "psnr_y": ("PSNR Y", "{:.2f}"),
    "delta_psnr_y": ("vs bicubic", "{:+.2f}"),
    "ssim_y": ("SSIM Y", "{:.4f}"),
    "psnr_rgb": ("PSNR RGB", "{:.2f}"),
    "ssim_rgb": ("SSIM RGB", "{:.4f}"),
    "mse_rgb": ("MSE RGB", "{:.1f}"),
    "kernel_psnr": ("kernel PSNR", "{:.1f}"),
    "seconds_total": ("s/image", "{:.1f}"),
}
PAIR_HEADINGS = ("n", "mean dB", "95 % interval", "median", "std", "win rate", "p")
_EXACT_DB = 100.0  # a kernel that differs from the true one by rounding alone
_CARD_SCORES = ("psnr_y", "ssim_y", "psnr_rgb", "kernel_psnr", "seconds_total")


def write(run: Run, file: Path) -> None:
    """Write the page of a run, or of two side by side, whole or not at all.

    Raises:
        StorageError: if the file cannot be written.
    """
    try:
        Store(str(file.absolute().parent)).write(file.name, render(run).encode())
    except StorageError as fault:
        raise StorageError(
            f"cannot write {file}: {fault.__cause__ or fault}; choose another place with --html"
        ) from fault


def render(run: Run) -> str:
    """The page's HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # methods stay in the order of the report
    means: Any = report.comparison(run.rows)
    methods = list(means["method"])
    colour = plots.colours(methods)
    seeds = int(means["seeds"].max())
    return environment.get_template("report.html.jinja").render(
        title=run.title,
        names=run.names,
        version=run.rows["version"].iloc[0],
        created=f"{run.rows['created_at'].max():%Y-%m-%d %H:%M} UTC",
        images=len(run.rows[PLACE].drop_duplicates()),
        methods=methods,
        seeds=f"{seeds} seed{'s' if seeds != 1 else ''}",
        spread=seeds > 1,
        headings=[heading for heading, _ in HEADINGS.values()],
        comparison=[_comparison_row(row) for row in means.to_dict("records")],
        failures=_failures(run.rows),
        pairs=list(_pairs(run)),
        pair_headings=PAIR_HEADINGS,
        time_plot=page_pictures.data_uri(plots.psnr_over_seconds(run.rows, colour), "image/svg+xml"),
        cards=None if run.images.empty else _cards(run),
        card_headings=[HEADINGS[name][0] for name in _CARD_SCORES],
        shown_methods=list(dict.fromkeys([BASELINE, *methods, TRUTH])),
        several_scales=run.rows["scale"].nunique() > 1,
    )


def cell(value: float | None, form: str, spread: float | None = None) -> str:
    """A figure as text, with its spread where there is one; a dash for what is not known."""
    if value is None or math.isnan(value):
        return "–"
    text = form.format(value)
    return text if spread is None or math.isnan(spread) else f"{text} ± {form.replace('+', '').format(spread)}"


def figure(name: str, row: Mapping[Any, Any]) -> str:
    """A column of `report.comparison` as text, by its name in `HEADINGS`; with the spread over seeds if it is there."""
    value = row[name]
    if name == "kernel_psnr" and value is not None and value > _EXACT_DB:
        return "exact"
    return cell(value, HEADINGS[name][1], row.get(f"{name}_std") if name in SPREAD else None)


def _comparison_row(row: Mapping[Any, Any]) -> dict[str, Any]:
    cells = [figure(name, row) for name in HEADINGS]
    return {"method": row["method"], "cells": cells, "behind": row["behind_bicubic"]}


def _failures(rows: pd.DataFrame) -> list[str]:
    failed: Any = rows[rows["status"] != "ok"]
    records = failed.to_dict("records")
    return [f"{row['image']} {row['method']} seed {row['seed']}: {row['error']}" for row in records]


def _pairs(run: Run) -> Iterator[dict[str, Any]]:
    """The run's own comparisons first, then all others."""
    table = statistics.score_table(run.rows)
    own = [pair for pair in run.pairs if pair[0] in table and pair[1] in table]
    others = [(b, a) for a, b in combinations(table.columns, 2)]
    named = {frozenset(pair) for pair in own}
    for a, b in [*own, *(pair for pair in others if frozenset(pair) not in named)][:MAX_PAIRS]:
        gaps, found = statistics.differences(table, a, b), statistics.paired(table, a, b)
        if gaps.empty:
            continue
        lines = [{"which": "all", "cells": pair_cells(vars(found))}]
        for part in statistics.splits(table, a, b, run.images).to_dict("records"):
            lines.append({"which": split_label(part), "cells": pair_cells(part)})
        plot = page_pictures.data_uri(plots.paired_differences(gaps, found), "image/svg+xml")
        yield {"a": a, "b": b, "lines": lines, "plot": plot}


def pair_cells(found: Mapping[Any, Any]) -> list[str]:
    """The figures of a `statistics.Paired`, or of a row of `statistics.splits`, as text."""
    return [
        f"{found['images']}",
        cell(found["mean"], "{:+.3f}"),
        f"{cell(found['low'], '{:+.3f}')} … {cell(found['high'], '{:+.3f}')}",
        cell(found["median"], "{:+.3f}"),
        cell(found["std"], "{:.3f}"),
        cell(found["win_rate"], "{:.0%}"),
        cell(found["p_value"], "{:.2g}"),
    ]


def split_label(part: Mapping[Any, Any]) -> str:
    """A group of images in words: ``texture high (7.1 to 15)``."""
    return f"{statistics.PROPERTIES[part['property']]}: {part['group']} ({part['from']:.3g} to {part['to']:.3g})"


def _cards(run: Run) -> Iterator[dict[str, Any]]:
    """One image at a time: its figures, and its pictures for the page's script."""
    done: Any = run.rows[run.rows["status"] == "ok"]
    scores: Any = done.groupby([*PLACE, "method"], sort=False)[list(_CARD_SCORES)].mean()
    facts: Any = run.images.set_index(PLACE)
    for shown in page_pictures.pictures(run):
        place = (shown["image"], shown["scale"])
        row = facts.loc[place]
        here = scores.xs(place, level=PLACE) if place in scores.index.droplevel("method") else scores.iloc[:0]
        about = [f"{row['width']} × {row['height']} low-resolution pixels"]
        about += [f"{what} {row[n]:.2g}" for n, what in statistics.PROPERTIES.items() if not math.isnan(row[n])]
        yield {
            "image": shown["image"],
            "scale": shown["scale"],
            "about": ", ".join(about),
            "rows": [
                {"method": name, "cells": [figure(score, values) for score in _CARD_SCORES]}
                for name, values in here.iterrows()
            ],
            "missing": shown.pop("missing"),
            "pictures": shown,
        }
