"""The report as one self-contained HTML page with tables, statistics, plots and pictures; it needs no network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from mkgan_core.reports import html, plots, ranking, statistics, tables
from mkgan_core.reports.embedded import data_uri
from mkgan_core.reports.pictures import INPUT, TRUTH, pictures
from mkgan_core.reports.ranking import BASELINE
from mkgan_core.reports.runs import Run
from mkgan_core.reports.statistics import PLACE

MAX_PAIRS = 45  # all pairs of ten methods; more would make the page too large
_CARD_SCORES = ("psnr_y", "ssim_y", "psnr_rgb", "kernel_psnr", "seconds_total")


def write(run: Run, file: Path) -> None:
    """Write the page of a run, or of two combined runs; if that fails, an existing file is not changed.

    Raises:
        StorageError: if the file cannot be written.
    """
    html.write(file, render(run))


def render(run: Run) -> str:
    """The HTML of the page; if files are missing, only their pictures are missing from it."""
    means = tables.comparison(run.rows)
    created = run.rows["created_at"].dropna()
    methods = list(means["method"])
    colour = plots.colours(methods)
    seeds = int(means["seeds"].max())
    images = len(run.rows[PLACE].drop_duplicates())
    oracles = ranking.oracles(run.rows)
    return html.fill(
        "report.html.jinja",
        title=run.title,
        headline=ranking.headline(run.rows),
        names=run.names,
        version=run.rows["version"].iloc[0],
        created=f"{created.max():%Y-%m-%d %H:%M} UTC" if len(created) else "some time",
        images=f"{images} image{'s' if images != 1 else ''}",
        methods=methods,
        seeds=f"{seeds} seed{'s' if seeds != 1 else ''}",
        spread=seeds > 1,
        headings=[_heading(name) for name in tables.COLUMNS],
        comparison=_marked(means.to_dict("records"), tuple(tables.COLUMNS), oracles),
        oracles=sorted(oracles),
        notes=run.notes,
        failures=tables.failures(run.rows),
        pairs=list(_pairs(run)),
        pair_headings=tables.PAIR_HEADINGS,
        time_plot=data_uri(plots.psnr_over_seconds(run.rows, colour), "image/svg+xml"),
        cards=None if run.images.empty else _cards(run, oracles),
        card_headings=[_heading(name) for name in _CARD_SCORES],
        shown_methods=list(dict.fromkeys([INPUT, BASELINE, *methods, TRUTH])),
        start={"left": BASELINE, "right": ranking.best(run.rows)},
        several_scales=run.rows["scale"].nunique() > 1,
    )


def _heading(name: str) -> dict[str, str]:
    """A column's heading, and the order of its first click, which puts the best value first."""
    order = "ascending" if name in ranking.SMALLER_IS_BETTER else "descending"
    return {"text": tables.COLUMNS[name].heading, "order": order}


def _marked(means: list[dict[Any, Any]], names: tuple[str, ...], oracles: set[str]) -> list[dict[str, Any]]:
    """Rows of a table of scores: each cell as text, as a number for sorting, and whether it is the column's best."""
    best = ranking.marks(means, oracles)
    return [
        {
            "method": row["method"],
            "oracle": row["method"] in oracles,
            "behind": row.get("behind_bicubic"),
            "cells": [
                {
                    "text": tables.figure(name, row),
                    "value": row[name] if row[name] is not None and math.isfinite(row[name]) else None,
                    "best": row["method"] in best.get(name, ()),
                }
                for name in names
            ],
        }
        for row in means
    ]


def _pairs(run: Run) -> Iterator[dict[str, Any]]:
    """The run's main comparisons first, then the other pairs of methods."""
    table = statistics.score_table(run.rows)
    own = [pair for pair in run.pairs if pair[0] in table and pair[1] in table]
    others = [(b, a) for a, b in combinations(table.columns, 2)]
    named = {frozenset(pair) for pair in own}
    for a, b in [*own, *(pair for pair in others if frozenset(pair) not in named)][:MAX_PAIRS]:
        gaps, summary = statistics.differences(table, a, b), statistics.paired(table, a, b)
        if gaps.empty:
            continue
        lines = [{"which": "all", "cells": tables.pair_cells(vars(summary))}]
        splits = statistics.splits(table, a, b, run.images).to_dict("records")
        lines.extend({"which": tables.split_label(part), "cells": tables.pair_cells(part)} for part in splits)
        plot = data_uri(plots.paired_differences(gaps, summary), "image/svg+xml")
        yield {"a": a, "b": b, "lines": lines, "plot": plot, "caution": ranking.caution(summary.images)}


def _cards(run: Run, oracles: set[str]) -> Iterator[dict[str, Any]]:
    """For each image, its scores as text and its pictures for the page's script."""
    done = run.rows[run.rows["status"] == "ok"]
    scores = done.groupby([*PLACE, "method"], sort=False)[list(_CARD_SCORES)].mean()
    of_image: dict[tuple[Any, Any], list[dict[Any, Any]]] = {}
    for means in scores.reset_index().to_dict("records"):
        of_image.setdefault((means["image"], means["scale"]), []).append(means | {"images": 1})
    facts = run.images.set_index(PLACE)
    for shown in pictures(run):
        place = (shown["image"], shown["scale"])
        row = facts.loc[place]
        about = [f"{row['width']} × {row['height']} low-resolution pixels"]
        about += [f"{what} {row[n]:.2g}" for n, what in statistics.PROPERTIES.items() if not math.isnan(row[n])]
        yield {
            "image": shown["image"],
            "scale": shown["scale"],
            "about": ", ".join(about),
            "rows": _marked(of_image.get(place, []), _CARD_SCORES, oracles),
            "missing": shown.pop("missing"),
            "lacking": shown.pop("lacking"),
            "pictures": shown,
        }
