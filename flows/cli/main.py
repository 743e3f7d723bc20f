"""The entry point of the command `mkgan`."""

from __future__ import annotations

import sys

from flows.cli.app import app
from mkgan_core.errors import MkganError
from mkgan_core.machine.cores import share_memory


def main() -> None:
    """Run a command; bad input ends with one line on stderr and exit code 2."""
    share_memory()
    try:
        app()
    except MkganError as fault:
        print("error: " + " ".join(str(fault).split()), file=sys.stderr)
        sys.exit(2)
