"""Self-contained pages from the templates."""

from __future__ import annotations

from pathlib import Path
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


def write(file: Path, html: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        StorageError: if the file cannot be written.
    """
    try:
        Store(str(file.absolute().parent)).write(file.name, html.encode())
    except StorageError as fault:
        raise StorageError(
            f"cannot write {file}: {fault.__cause__ or fault}; choose another place with --html"
        ) from fault
