"""`mkgan report` and `mkgan compare`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from flows.cli.options import Html, Pairs, RunName, StoreUri, parse_pair
from flows.cli.terminal import make_console, print_line
from mkgan_core.machine.places import default_store
from mkgan_core.machine.plain_text import one_line

if TYPE_CHECKING:
    from mkgan_core.reports.runs import Run


def report(run: RunName, html: Html = None, pair: Pairs = None, store: StoreUri = None) -> None:
    """Print the comparison and the paired statistics of an earlier run; with --html write them as a page."""
    from mkgan_core.reports.runs import open_run

    _show(open_run(run, store or default_store()), pair, html)


def compare(first: RunName, second: RunName, html: Html = None, pair: Pairs = None, store: StoreUri = None) -> None:
    """Put two runs side by side, on the images that both have."""
    from mkgan_core.reports.runs import beside, open_run

    place = store or default_store()
    _show(beside(open_run(first, place), open_run(second, place)), pair, html)


def _show(run: Run, pairs: list[str] | None, html: Path | None) -> None:
    """Print a run's tables; write its page.

    Raises:
        ConfigError: for a pair that is no pair of the run's methods.
        StorageError: if the page cannot be written there.
    """
    from flows.cli.terminal import print_comparison, print_statistics
    from mkgan_core.reports import html as pages

    console = make_console()
    if html:
        pages.check_place(html)
    run = run.with_pairs([parse_pair(text, run.rows["method"].unique()) for text in pairs or []])
    print_comparison(run.rows, console, run.title)
    print_statistics(run, console)
    for note in run.notes:
        print(one_line(f"note: {note}"), file=sys.stderr)
    if html:
        from mkgan_core.reports import page

        page.write(run, html)
        print_line(console, f"page: {html.absolute().as_uri()}")
