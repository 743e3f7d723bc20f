"""The plots of a report, drawn with matplotlib as SVG that follows the reader's light or dark colour scheme."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mkgan_core.importing import importing
from mkgan_core.machine.plain_text import one_line
from mkgan_core.reports.statistics import PLACE, Paired

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# placeholders, replaced by variables in the finished SVG; no other element may have these colours
_INK, _FAINT = "#010203", "#040506"
_SCHEME = (
    "<style>:root{--ink:#24292f;--faint:#d5dae0}"
    "@media (prefers-color-scheme:dark){:root{--ink:#d5dae0;--faint:#3d444d}}</style>"
)
# Okabe & Ito's colour-blind safe palette without black and yellow; readable on light and dark
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c8c", "#7b5ea7", "#a6761d", "#4daf4a")
_MARKERS = "osD^vPX*<>"
_DRAWABLE = 1e6  # larger than any score; axes cannot show much larger or infinite values
_MANY = 40  # images; with more, the names along the axis would be unreadable


def colours(methods: Sequence[str]) -> dict[str, str]:
    """A colour for each method, the same in every plot of a page; more than ten methods share colours.

    Example:
        >>> colours(["bicubic", "spectral+zssr"])
        {'bicubic': '#0072b2', 'spectral+zssr': '#e69f00'}
    """
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(methods)}


def paired_differences(gaps: pd.Series, summary: Paired, unit: str = "dB") -> bytes:
    """SVG of each image's difference between two methods, sorted, with the mean and its 95 % interval.

    Args:
        gaps: from `statistics.differences`, indexed by image and scale.
        summary: from `statistics.paired`, of the same differences.
        unit: of the score.
    """
    ordered = gaps[gaps.abs() < _DRAWABLE].sort_values()
    position = np.arange(len(ordered))
    figure, axes = _figure(7.2, 3.0)
    values, names = ordered.to_numpy(float), [one_line(place[0]) for place in ordered.index.to_list()]
    wins = values > 0
    for side, colour in ((wins, COLOURS[0]), (~wins, COLOURS[5])):
        axes.vlines(position[side], 0, values[side], color=colour, linewidth=1.5)
        axes.plot(position[side], values[side], "o", color=colour, markersize=4)
    axes.axhline(0, color=_INK, linewidth=0.8)
    if abs(summary.mean) < _DRAWABLE:
        axes.axhline(summary.mean, color=_INK, linewidth=1, linestyle="--")
    if max(abs(summary.low), abs(summary.high)) < _DRAWABLE:
        axes.axhspan(summary.low, summary.high, color=COLOURS[6], alpha=0.25, linewidth=0)
    if len(ordered) <= _MANY:
        axes.set_xticks(position, names, rotation=90, fontsize=7, parse_math=False)  # names may contain dollar signs
    else:
        axes.set_xticks([])
        axes.set_xlabel(f"{len(ordered)} images, sorted")
    axes.set_ylabel(f"difference, {unit}")
    return _svg(figure, f"{summary.a} minus {summary.b}, per image")


def psnr_over_seconds(report: pd.DataFrame, colour: Mapping[str, str]) -> bytes:
    """SVG of luma PSNR over seconds per image, with a faint dot per image and a marker for each method's mean.

    Args:
        report: rows of `report.parquet`.
        colour: of each method, from `colours`.
    """
    done = report[(report["status"] == "ok") & (report["seconds_total"] > 0) & (report["psnr_y"].abs() < _DRAWABLE)]
    places = done.groupby(["method", *PLACE], sort=False, observed=True)[["seconds_total", "psnr_y"]].mean()
    figure, axes = _figure(7.2, 3.6)
    for index, name in enumerate(colour):
        if name not in places.index:
            continue
        dots: pd.DataFrame = places.loc[[name]]
        marker = _MARKERS[index % len(_MARKERS)]
        axes.scatter(dots["seconds_total"], dots["psnr_y"], s=9, color=colour[name], alpha=0.35, linewidth=0)
        mean = dots.mean()
        axes.plot(mean["seconds_total"], mean["psnr_y"], marker, color=colour[name], markersize=9, label=one_line(name))
    axes.set_xlabel("seconds per image, computation")
    axes.set_ylabel("PSNR Y, dB")
    if len(done):
        axes.set_xscale("log")
        legend = axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=8)
        for text in legend.get_texts():
            text.set(color=_INK, parse_math=False)
    return _svg(figure, "PSNR over seconds, per image and on average")


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with this size in inches, and its axes; without pyplot, whose state all threads would share."""
    with importing:
        from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_INK)
    axes.tick_params(which="both", colors=_INK, labelsize=8)
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    return figure, axes


def _svg(figure: Figure, title: str) -> bytes:
    with importing:
        import matplotlib as mpl

    out = io.BytesIO()
    # text as text, not outlines: smaller, and in the reader's font; no date and fixed ids, for reproducible bytes
    with (
        warnings.catch_warnings(),
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "mkgan", "font.family": "sans-serif"}),
    ):
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the reader's fonts may have characters that ours lacks
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Title": title})
    text = out.getvalue().decode()
    text = text[text.index("<svg") :].replace(_INK, "var(--ink)").replace(_FAINT, "var(--faint)")
    return re.sub(r"(<svg[^>]*>)", rf"\1{_SCHEME}", text, count=1).encode()
