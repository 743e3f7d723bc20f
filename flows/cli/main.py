"""The entry point of the command `mkgan`."""

from __future__ import annotations

import io
import sys

from flows.cli.signals import EXIT_CODE, Interrupted, answer_signals, end_soon, leave_on_signal


def main() -> None:
    """Run a command; bad input gives one line on stderr and exit code 2, Ctrl-C gives exit code 130."""
    for stream in (sys.stdout, sys.stderr):  # file names may hold characters that the terminal cannot encode
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    answer_signals()
    end_soon(1)  # the exit code of an unexpected exception
    try:
        _run()
        end_soon(0)
    except Interrupted as interrupted:
        if not interrupted.told:
            print("interrupted", file=sys.stderr)
        end_soon(EXIT_CODE)
        raise
    except SystemExit as ended:
        end_soon(ended.code if isinstance(ended.code, int) else int(ended.code is not None))
        raise
    finally:
        leave_on_signal()


def _run() -> None:
    # these imports take a second; the signal handlers are already installed
    from flows.cli.app import app
    from mkgan_core.errors import MkganError
    from mkgan_core.machine.cores import share_memory
    from mkgan_core.machine.plain_text import one_line

    share_memory()
    try:
        app()
    except MkganError as fault:
        print(one_line(f"error: {fault}"), file=sys.stderr)
        sys.exit(2)
