"""What a command says while it works: a progress line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.terminal import make_console, print_line
from mkgan_core.machine.plain_text import one_line

if TYPE_CHECKING:
    from rich.progress import Progress

PLAIN_EVERY_S = 10.0
Shown = tuple[str, float, float | None]
"""What is being done; the finished share, 0 to 1; seconds left, None if unknown."""

Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", envvar="MKGAN_QUIET", help="print only errors; results are still written"),
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", envvar="MKGAN_VERBOSE", help="print a line for each step")]


class Display:
    """Prints results on standard output, and errors and progress on standard error.

    In a terminal, results appear above the progress line.

    Args:
        quiet: print only errors.
        verbose: also print the log lines of the steps.
    """

    def __init__(self, quiet: bool = False, verbose: bool = False) -> None:
        self.console = make_console()
        self.quiet = quiet
        self._verbose = verbose and not quiet
        self._live: Progress | None = None
        self._last_plain = time.monotonic()

    def line(self, text: str, style: str | None = None) -> None:
        """Print a result unchanged and as one line, even if the terminal is narrower."""
        if not self.quiet:
            print_line(self.console, text, style)

    def error(self, text: str) -> None:
        """Print an error on one line."""
        print(one_line(f"error: {text}"), file=sys.stderr)

    def error_list(self, heading: str, messages: Sequence[str]) -> None:
        """Print errors again, together."""
        print(heading, *(f"  {one_line(message)}" for message in messages), sep="\n", file=sys.stderr)

    def show(self, standing: Shown) -> None:
        """Show the progress; call it a few times a second."""
        what, share, left = one_line(standing[0]), standing[1], _left(standing[2])
        if self._live:
            self._live.update(self._live.task_ids[0], description=what, completed=share, left=left)
            self._live.refresh()
        elif not self.quiet and what and time.monotonic() - self._last_plain >= PLAIN_EVERY_S:
            self._last_plain = time.monotonic()
            print(", ".join(filter(None, (what, left))), file=sys.stderr, flush=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show progress during the block."""
        with self._logged():
            self._start()
            try:
                yield
            finally:
                self.close()

    def close(self) -> None:
        """Remove the progress line."""
        if self._live:
            self._live.stop()
            self._live = None

    def _start(self) -> None:
        console = self.console
        if not console.is_terminal and sys.stderr.isatty():
            console = make_console(stderr=True)
        if self.quiet or not console.is_terminal:
            return
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self._live = Progress(
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True)),
            BarColumn(bar_width=10),
            TextColumn("{task.fields[left]}"),
            console=console,
            transient=True,
            expand=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),
        )
        self._live.add_task("", total=1.0, left="")
        self._live.start()

    @contextmanager
    def _logged(self) -> Iterator[None]:
        """Print the core's log lines during the block if ``verbose`` is set."""
        if not self._verbose:
            yield
            return
        log, handler = logging.getLogger("mkgan_core"), _Lines(self)
        before = log.level
        log.setLevel(logging.INFO)
        log.addHandler(handler)
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.setLevel(before)


class _Lines(logging.Handler):
    """Prints log messages on standard error, above the progress line."""

    def __init__(self, display: Display) -> None:
        super().__init__()
        self._display = display

    def emit(self, record: logging.LogRecord) -> None:
        print(one_line(record.getMessage()), file=sys.stderr)


def _left(seconds: float | None) -> str:
    """The remaining time in words.

    Example:
        >>> _left(12.3), _left(200), _left(9000), _left(None)
        ('12 s left', '3 min left', '2.5 h left', '')
    """
    if seconds is None:
        return ""
    if seconds < 90:
        return f"{seconds:.0f} s left"
    return f"{seconds / 60:.0f} min left" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h left"
