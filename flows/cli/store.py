"""`mkgan store check` and `prune`."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Annotated

import typer

from flows.cli.options import StoreUri
from flows.cli.terminal import make_console, print_line
from mkgan_core.errors import ArtifactError
from mkgan_core.machine.places import default_store

app = typer.Typer(help="Check the artifact store, and remove what no report needs.", no_args_is_help=True)
OlderThan = Annotated[
    float,
    typer.Option(envvar="MKGAN_OLDER_THAN", min=0, max=100_000, help="remove only files older than this many days"),
]
DryRun = Annotated[bool, typer.Option(envvar="MKGAN_DRY_RUN", help="list what would be removed, but remove nothing")]


@app.command()
def check(store: StoreUri = None) -> None:
    """Compare every artifact with its hash, without changing anything. Exit code 1 if one is damaged or missing."""
    from mkgan_core.machine.storage import Store
    from mkgan_core.reports import upkeep

    place = Store(store or default_store())
    found = upkeep.check(place)
    lines = [f"damaged, to be computed again: {name} ({fault})" for name, fault in found.damaged.items()]
    lines += [f"the report of run {run} cannot be read: {fault}" for run, fault in found.runs.items() if fault]
    _say(lines)
    files = sum(map(len, found.whole.values()))
    _say(
        [
            f"{place.uri}: {len(found.whole)} finished steps and their {files} files match their hashes; "
            f"{len(found.damaged)} steps are damaged and would be computed again; {len(found.left)} files belong to no "
            "finished step (`mkgan store prune` removes them when they are old enough)"
        ]
    )
    raise typer.Exit(1 if found.damaged else 0)


@app.command()
def prune(store: StoreUri = None, older_than: OlderThan = 14, dry_run: DryRun = False) -> None:
    """Remove artifacts that no report in the store needs. Reports and data sets stay."""
    from mkgan_core.machine.storage import Store
    from mkgan_core.reports import upkeep

    place = Store(store or default_store())
    names = upkeep.unneeded(place, timedelta(days=older_than))
    size = 0
    for name in names:
        with suppress(ArtifactError):  # another process removed it first
            size += place.size(name)
        if not dry_run:
            place.remove(name)
    _say(names if dry_run else [])
    what = "would be removed" if dry_run else "removed"
    about = f"{len(names)} files that no report needs and that are older than {older_than:g} days"
    _say([f"{about} {what}: {size / 1e6:.1f} MB"])


def _say(lines: list[str]) -> None:
    console = make_console()
    for line in lines:
        print_line(console, line)
