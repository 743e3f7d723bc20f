"""`mkgan report`, `compare`, `export` and `runs`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import Html, LastRun, Pairs, RunName, StoreUri, parse_pair
from flows.cli.terminal import make_console, print_line
from mkgan_core.errors import ConfigError
from mkgan_core.machine.places import default_store
from mkgan_core.machine.plain_text import one_line

if TYPE_CHECKING:
    from mkgan_core.reports.runs import Run

Limit = Annotated[int, typer.Option(envvar="MKGAN_LIMIT", min=1, help="at most so many runs")]
ExportFolder = Annotated[str, typer.Argument(metavar="DIR", help="a new or empty folder, or a URL")]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", envvar="MKGAN_OVERWRITE", help="write into a folder that is not empty")
]


def report(run: LastRun = None, html: Html = None, pair: Pairs = None, store: StoreUri = None) -> None:
    """Print the comparison and the paired statistics of a run, by default the last one; with --html write a page."""
    from mkgan_core.machine.storage import Store
    from mkgan_core.reports.listing import latest
    from mkgan_core.reports.runs import open_run

    place = store or default_store()
    opened = open_run(latest(Store(place)) if run is None else run, place)
    if run is None:
        print_line(make_console(), f"the last run: {opened.names[0]}")
    _show(opened, pair, html)


def runs(limit: Limit = 20, store: StoreUri = None) -> None:
    """List the runs in the store, the newest first."""
    from flows.cli.terminal import print_runs
    from mkgan_core.machine.storage import Store
    from mkgan_core.reports.listing import recent

    place, console = Store(store or default_store()), make_console()
    found = recent(place, limit)
    if not found:
        print_line(console, f"no runs in {place.uri} yet; start one with: mkgan benchmark")
        return
    print_runs(found, console)
    print_line(console, "show one with: mkgan report RUN")


def export(run: RunName, folder: ExportFolder, store: StoreUri = None, overwrite: Overwrite = False) -> None:
    """Write a run's images as DIR/<method>/<image>.png, and its tables as CSV, Markdown and LaTeX."""
    from flows.cli.outputs import folder_at
    from mkgan_core.reports.export import export as write
    from mkgan_core.reports.runs import open_run

    opened = open_run(run, store or default_store())
    out = folder_at(folder, "DIR")
    out.check_writable()
    if out.store.list("") and not overwrite:
        raise ConfigError(f"{folder} is not empty; name a new folder, or give --overwrite")
    done, console = write(opened, out.store), make_console()
    count = opened.rows["method"].nunique()
    print_line(console, f"{len(done.images)} images of {count} methods, and {len(done.tables)} tables, in {folder}")
    failed = int((opened.rows["status"] != "ok").sum())
    if failed:
        print_line(console, f"{failed} rows of the run failed, and have no image")
    for line in done.lacking:
        print(one_line(f"error: not written: {line}"), file=sys.stderr)
    raise typer.Exit(1 if done.lacking else 0)


def compare(first: RunName, second: RunName, html: Html = None, pair: Pairs = None, store: StoreUri = None) -> None:
    """Compare two runs on the images that both have."""
    from mkgan_core.reports.runs import beside, open_run

    place = store or default_store()
    _show(beside(open_run(first, place), open_run(second, place)), pair, html)


def _show(run: Run, pairs: list[str] | None, html: Path | None) -> None:
    """Print a run's tables; write its page.

    Raises:
        ConfigError: if a pair does not name two of the run's methods.
        StorageError: if the page cannot be written.
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
