"""`mkgan weights list`, `pull` and `check`."""

from __future__ import annotations

from typing import Annotated

import typer

from flows.cli.terminal import make_console, print_line

app = typer.Typer(help="Network weights of the segmenters: list, download, verify.", no_args_is_help=True)


@app.command("list")
def show() -> None:
    """List the published weights and the files on this machine."""
    from mkgan_core.machine import weights
    from mkgan_core.machine.places import cache_folder

    console = make_console()
    for entry in weights.REGISTRY.values():
        about = f"{entry.family}, {entry.size / 1e6:.0f} MB, {entry.licence}, {entry.address}, sha256 {entry.sha256}"
        print_line(console, f"{entry.name}: {about}")
    print_line(console, f"found in MKGAN_WEIGHTS and {cache_folder()}:")
    for family in weights.FAMILIES:
        found = weights.available(family)
        paths = ", ".join(str(path) for path in found) or "none"
        print_line(console, f"  {family}: {paths}")


@app.command()
def pull(names: Annotated[list[str], typer.Argument(help="names from `mkgan weights list`")]) -> None:
    """Download published weights into the cache; an interrupted download resumes."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    from mkgan_core.machine import downloads

    for name in names:
        downloads.known(name)
    console = make_console()
    for name in names:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        with Progress(*columns, console=console, transient=True) as bar:
            line = bar.add_task(name, total=None)
            path = downloads.pull(name, lambda done, total, line=line: bar.update(line, completed=done, total=total))
        print_line(console, str(path))


@app.command()
def check() -> None:
    """Verify every weights file on this machine."""
    from mkgan_core.errors import WeightsError
    from mkgan_core.machine import weights
    from mkgan_core.machine.trust import VARIABLE

    console = make_console()
    damaged = []
    for path in dict.fromkeys(weights.all_available()):
        try:
            sha256 = weights.check_published(path)
        except WeightsError as fault:
            damaged.append(str(fault))
            continue
        about = "as published" if weights.published(path) else "not a published file"
        try:
            weights.verify(path)
        except WeightsError:
            about += f", a pickle, which loads only with --trust-weights or {VARIABLE}=1"
        print_line(console, f"{path}: {about}, sha256 {sha256}")
    if damaged:
        raise WeightsError("; ".join(damaged))
