"""Fills and writes self-contained HTML pages."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from mkgan_core.errors import StorageError
from mkgan_core.machine.storage import Store

TEMPLATES = Path(__file__).parent / "templates"
ENDINGS = (".html", ".htm")


def fill(template: str, **values: Any) -> str:
    """Fill a template.

    Args:
        template: name of a file in the folder ``templates``.
        values: the values of all its variables.

    Returns:
        The page's HTML.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}  # keep the report's order of the methods
    return environment.get_template(template).render(**values)


def check_place(file: Path) -> None:
    """Check, before any work, that a page can be written to a file; no file or folder is created.

    `write` creates the page's folder if necessary. The parent of that folder must exist; otherwise the path is probably
    mistyped.

    Raises:
        StorageError: if the path does not end with .html or .htm, is a folder, a pipe or a device, if its grandparent
            folder does not exist, or if it cannot be written.
    """
    folder = file.absolute().parent
    there = folder if folder.is_dir() else folder.parent
    fault = None
    if file.is_dir():
        fault = "it is a folder"
    elif os.path.lexists(file) and not file.is_file():
        fault = "it is no regular file"
    elif file.suffix.lower() not in ENDINGS:  # it may be a photo
        fault = "its name does not end with .html"
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
    """Write a page to a file; if that fails, an existing file is not changed.

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
