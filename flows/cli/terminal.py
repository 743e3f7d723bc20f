"""What the command line prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from mkgan_core.machine.plain_text import one_line

if TYPE_CHECKING:
    import pandas as pd

    from mkgan_core.reports.runs import Run

WIDE = 130  # columns of a terminal that shows the RGB scores too


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
    """The comparison table, then what a mean would hide: images behind bicubic, fallbacks, failures."""
    from mkgan_core.reports.tables import COLUMNS, comparison, failures, figure

    means = comparison(rows).to_dict("records")
    records = rows.to_dict("records")
    first = records[0]
    title = title or f"{first['dataset']} x{first['scale']}, preset {first['preset']}"
    table = Table(title=one_line(f"{title}, means over images and seeds"))
    table.add_column("method", no_wrap=True)
    columns = {name: column for name, column in COLUMNS.items() if console.width >= WIDE or "rgb" not in name}
    for column in columns.values():
        table.add_column(column.heading, justify="right", no_wrap=True)
    for row in means:
        cells = [figure(name, row) for name in columns]
        table.add_row(one_line(row["method"]), *cells)
    console.print(table)
    for row in means:
        if row["behind_bicubic"]:
            text = one_line(f"{row['method']} is behind bicubic on: {row['behind_bicubic']}")
            console.print(text, style="yellow", soft_wrap=True)
    resolved = {r["method"]: r["segmenter"] for r in records if r["method"].startswith(("multi-", "auto/"))}
    for name, segmenter in resolved.items():
        console.print(one_line(f"{name} used the segmenter {segmenter}"))
    for line in failures(rows):
        console.print(f"failed: {line}", style="red", soft_wrap=True)


def print_statistics(run: Run, console: Console) -> None:
    """The paired comparisons that a run is about, each with its splits by kind of image."""
    from mkgan_core.reports import statistics
    from mkgan_core.reports.tables import PAIR_HEADINGS, pair_cells, split_label

    scores = statistics.score_table(run.rows)
    pairs = [(a, b) for a, b in run.pairs if a in scores and b in scores]
    if not pairs:
        return
    table = Table(title="PSNR Y image by image, seeds averaged; 95 % bootstrap interval, Wilcoxon p")
    table.add_column("images", no_wrap=True)
    for heading in PAIR_HEADINGS:
        table.add_column(heading, justify="right", no_wrap=True)
    for a, b in pairs:
        table.add_row(one_line(f"{a} − {b}"), *pair_cells(vars(statistics.paired(scores, a, b))))
        for part in statistics.splits(scores, a, b, run.images).to_dict("records"):
            table.add_row(f"  {split_label(part)}", *pair_cells(part), style="dim")
    console.print(table)
