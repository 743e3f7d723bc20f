"""Places: the home folder, the artifact store, the weights' cache, and the store's public address."""

from __future__ import annotations

import os
from pathlib import Path

from mkgan_core.machine.storage import Store

CODE = Path(__file__).resolve().parents[2]  # the folder of the packages: the checkout, or where a wheel was installed
IN_CHECKOUT = (CODE / "pyproject.toml").exists()
INSTALL = "make setup" if IN_CHECKOUT else "pip install --upgrade 'mkgan[pipeline]'"  # repairs an installation


def home() -> Path:
    """The folder for everything by default.

    ``MKGAN_HOME``, else the checkout's ``data`` folder; without a checkout, ``mkgan`` in the user's data folder
    (``XDG_DATA_HOME``, else ``~/.local/share``).
    """
    if "MKGAN_HOME" in os.environ:
        return Path(os.environ["MKGAN_HOME"]).resolve()
    if IN_CHECKOUT:
        return CODE / "data"
    return Path(os.path.expanduser(os.environ.get("XDG_DATA_HOME") or "~/.local/share")) / "mkgan"


def default_store() -> str:
    """URI of the default artifact store: ``MKGAN_STORE``, else ``store`` in `home`."""
    return os.environ.get("MKGAN_STORE") or (home() / "store").as_uri()


def split_file(file: str) -> tuple[str, str]:
    """The folder and the name of a file that is given by path or URL.

    Example:
        >>> split_file("large.png"), split_file("a/b/large.png"), split_file("/large.png")
        (('.', 'large.png'), ('a/b', 'large.png'), ('/', 'large.png'))
        >>> split_file("memory://large.png"), split_file("file:///large.png")
        (('memory://', 'large.png'), ('file:///', 'large.png'))
    """
    folder, _, name = file.rpartition("/")
    if not folder or folder.endswith("/"):  # a root, or only a protocol: the slash belongs to it
        folder = file.removesuffix(name) or "."
    return folder, name


def public_url(store: Store, uri: str) -> str | None:
    """The address of a store's file for browsers, below ``MKGAN_PUBLIC_URL``; None if that is not set."""
    base = os.environ.get("MKGAN_PUBLIC_URL")
    return f"{base.rstrip('/')}/{uri.removeprefix(store.uri).lstrip('/')}" if base else None


def cache_folder() -> Path:
    """The folder for downloads, which is also searched last for weights."""
    return Path(os.path.expanduser(os.environ.get("MKGAN_CACHE") or "~/.cache/mkgan")) / "weights"


def add_weights(places: str | None) -> None:
    """Search these files and folders first, also in child processes; separated as in ``PATH``."""
    if places:
        os.environ["MKGAN_WEIGHTS"] = places
