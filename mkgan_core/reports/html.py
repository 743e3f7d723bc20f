"""Self-contained pages from the templates."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from mkgan_core.errors import StorageError
from mkgan_core.machine.storage import Store

TEMPLATES = Path(__file__).parent / "templates"


def fill(template: str, **values: Any) -> str:
    """A page's HTML.

    Args:
        template: name of a file in the folder ``templates``.
        values: what its variables stand for; all must be given.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # methods stay in the order of the report
    return environment.get_template(template).render(**values)


def check_place(file: Path) -> None:
    """Refuse a place where no page can be written, before the work is done; leaves nothing behind.

    The page's folder is made when it is written; the folder around that must be there, or the path has a slip in it.

    Raises:
        StorageError: if the place is a folder, a pipe or a device, is nowhere, or cannot be written.
    """
    folder = file.absolute().parent
    there = folder if folder.is_dir() else folder.parent
    fault = None
    if file.is_dir():
        fault = "it is a folder"
    elif os.path.lexists(file) and not file.is_file():
        fault = "it is no regular file"
    elif os.path.lexists(folder) and not folder.is_dir():
        fault = f"{folder} is no folder"
    elif not there.is_dir():
        fault = f"the folder {there} does not exist"
    else:
        try:
            with TemporaryFile(dir=there):
                pass
        except OSError as error:
            fault = error.strerror or str(error)
    if fault:
        raise StorageError(f"cannot write {file}: {fault}; choose another place with --html")


def write(file: Path, html: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        StorageError: if the file cannot be written.
    """
    check_place(file)
    try:
        Store(file.absolute().parent.as_posix()).write(file.name, html.encode("utf-8", "backslashreplace"))
    except StorageError as fault:
        raise StorageError(
            f"cannot write {file}: {fault.__cause__ or fault}; choose another place with --html"
        ) from fault
