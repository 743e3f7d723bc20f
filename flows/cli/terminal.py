"""What the command line prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from mkgan_core.machine.plain_text import one_line

if TYPE_CHECKING:
    import pandas as pd

    from mkgan_core.reports.listing import Entry
    from mkgan_core.reports.runs import Run

SPLIT_FROM = 8  # images; with fewer, the groups would have fewer than four images, and only the page shows them


def make_console(*, stderr: bool = False) -> Console:
    """A console for the terminal; output to a file or pipe is 200 columns wide instead of 80.

    Text is never parsed as markup, because names and messages may contain brackets.
    """
    console = Console(stderr=stderr, markup=False, emoji=False)
    return console if console.is_terminal else Console(width=200, stderr=stderr, markup=False, emoji=False)


def print_line(console: Console, text: str, style: str | None = None) -> None:
    """Print a text unchanged and as one line, even if the terminal is narrower."""
    console.print(one_line(text), style=style, soft_wrap=True, highlight=False)


def print_comparison(rows: pd.DataFrame, console: Console, title: str | None = None) -> None:
    """Print the comparison table, then what the means hide: images behind bicubic, fallbacks, failures.

    A narrow terminal gets fewer columns; numbers are never cut.
    """
    from mkgan_core.reports import ranking
    from mkgan_core.reports.tables import COLUMNS, comparison, failures, figure

    means = comparison(rows).to_dict("records")
    records = rows.to_dict("records")
    first = records[0]
    title = title or f"{first['dataset']} x{first['scale']}, preset {first['preset']}"
    oracles, best = ranking.oracles(rows), ranking.best(rows)
    marks = ranking.marks(means, oracles)
    names = {row["method"]: _named(row["method"], best, oracles) for row in means}
    shown = {name: [figure(name, row) for row in means] for name in COLUMNS}
    styles = {name: ["bold" if row["method"] in marks.get(name, ()) else "" for row in means] for name in COLUMNS}
    essential = {"psnr_y", "delta_psnr_y", *(["failed"] if any(row["failed"] for row in means) else [])}
    table = _fitting(
        console,
        ("method", list(names.values())),
        {name: (column.heading, shown[name], styles[name], name in essential) for name, column in COLUMNS.items()},
    )
    print_line(console, f"{title}: means over images and seeds")
    console.print(table)
    if best and len(means) > 1:
        print_line(console, f"* best blind method: {ranking.headline(rows)}", "bold")
    if oracles:
        print_line(console, "oracle: is given the true kernels, and does not compete")
    for row in means:
        if row["behind_bicubic"]:
            text = one_line(f"{row['method']} is behind bicubic on: {row['behind_bicubic']}")
            console.print(text, style="yellow", soft_wrap=True)
    resolved = {r["method"]: r["segmenter"] for r in records if r["method"].startswith(("multi-", "auto/"))}
    for name, segmenter in resolved.items():
        print_line(console, f"{name} used the segmenter {segmenter}")
    for line in failures(rows):
        console.print(f"failed: {line}", style="red", soft_wrap=True)


def print_statistics(run: Run, console: Console) -> None:
    """Print the run's main comparisons, each with its splits by kind of image if there are enough images."""
    from mkgan_core.reports import ranking, statistics
    from mkgan_core.reports.tables import PAIR_HEADINGS, pair_cells, split_label

    scores = statistics.score_table(run.rows)
    lines: list[tuple[str, list[str], str]] = []
    counts = []
    for a, b in run.pairs:
        if a not in scores or b not in scores:
            continue
        summary = statistics.paired(scores, a, b)
        counts.append(summary.images)
        lines.append((one_line(f"{a} − {b}"), pair_cells(vars(summary)), ""))
        if summary.images >= SPLIT_FROM:
            splits = statistics.splits(scores, a, b, run.images).to_dict("records")
            lines += [(f"  {split_label(part)}", pair_cells(part), "dim") for part in splits]
    if not lines:
        return
    styles = [style for *_, style in lines]
    essential = {"n", "mean dB", "95 % interval"}
    columns = {
        heading: (heading, [cells[at] for _, cells, _ in lines], styles, heading in essential)
        for at, heading in enumerate(PAIR_HEADINGS)
    }
    print_line(console, "PSNR Y image by image, seeds averaged; 95 % bootstrap interval, Wilcoxon p")
    console.print(_fitting(console, ("images", [label for label, *_ in lines]), columns))
    if caution := ranking.caution(min(counts)):
        print_line(console, caution, "yellow")


def print_runs(runs: Sequence[Entry], console: Console) -> None:
    """A table of runs."""
    cells = {
        "when (UTC)": [f"{run.when:%Y-%m-%d %H:%M}" if run.when else "–" for run in runs],
        "result": [one_line(run.result) for run in runs],
        "data set": [one_line(run.dataset) or "–" for run in runs],
        "scale": [f"x{run.scale}" if run.scale else "–" for run in runs],
        "methods": [f"{run.methods or '–'}" for run in runs],
        "images": [f"{run.images or '–'}" for run in runs],
    }
    order = ("when (UTC)", "data set", "scale", "methods", "images", "result")
    plain = [""] * len(runs)
    columns = {name: (name, cells[name], plain, name in ("when (UTC)", "result")) for name in order}
    console.print(_fitting(console, ("run", [one_line(run.run_id) for run in runs]), columns))


def _named(method: str, best: str | None, oracles: set[str]) -> str:
    """A method's name, with a mark if it is the best or an oracle."""
    return one_line(method) + (" (oracle)" if method in oracles else " *" if method == best else "")


def _fitting(
    console: Console, labels: tuple[str, list[str]], columns: dict[str, tuple[str, list[str], list[str], bool]]
) -> Table:
    """A table with the columns that fit the terminal's width; only labels may be broken into lines.

    Args:
        console: the terminal.
        labels: heading and cells of the first column.
        columns: name -> heading, cells, a style for each, and whether the column is never dropped.
    """
    shown = dict(columns)
    while True:
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
        droppable = [name for name, (*_, essential) in shown.items() if not essential]
        table.add_column(labels[0], no_wrap=bool(droppable), overflow="fold")
        for heading, *_ in shown.values():
            table.add_column(heading, justify="right", no_wrap=True)
        for row, label in enumerate(labels[1]):
            cells = [Text(texts[row], style=styles[row]) for _, texts, styles, _ in shown.values()]
            table.add_row(label, *cells)
        if (
            not droppable
            or console.measure(table, options=console.options.update(width=10_000)).maximum <= console.width
        ):
            return table
        del shown[droppable[-1]]
