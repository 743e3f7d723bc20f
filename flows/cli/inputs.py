"""Finds the image files that the command line names: files, folders, globs, and URLs of each."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from mkgan_core.datasets.file_names import PICTURES as OF_DATA_SETS
from mkgan_core.datasets.file_names import check_name
from mkgan_core.errors import DatasetError, MkganError, StorageError
from mkgan_core.machine.secrets import hide
from mkgan_core.machine.storage import Store, reason

T = TypeVar("T")
UNREADABLE = (".avif", ".heic", ".heif", ".jp2", ".jxl", ".tga")  # listed too, so that an error says so
PICTURES = (*OF_DATA_SETS, ".gif", ".ppm", ".pgm", ".pnm", *UNREADABLE)
WEB = ("http", "https")
MAGIC = re.compile(r"[*?\[]")
MAGIC_ON_THE_WEB = re.compile(r"[*\[]")  # a question mark begins a query


@dataclass(frozen=True)
class Input:
    """An image file.

    Attributes:
        address: path or URL, as it is opened and shown.
        uri: its full URI, independent of how the file was named.
        below: its folder, relative to the folder on the command line; empty for a file named directly.
    """

    address: str
    uri: str
    below: str = ""

    @cached_property
    def name(self) -> str:
        """The file's name; for a URL, without its query."""
        split = urlsplit(self.uri)
        return posixpath.basename(unquote(split.path) if split.scheme in WEB else self.uri) or "image"

    @property
    def stem(self) -> str:
        return posixpath.splitext(self.name)[0]

    @property
    def suffix(self) -> str:
        """The suffix of the file's name, without the dot."""
        return posixpath.splitext(self.name)[1].removeprefix(".")


def find(given: Sequence[str], *, recursive: bool = False, leave_out: str = "") -> tuple[list[Input], list[MkganError]]:
    """The image files that the arguments name, each once.

    Args:
        given: files, folders and globs, as paths or fsspec URLs.
        recursive: search subfolders too.
        leave_out: URI of a folder with results; folders and globs that contain it skip its files.

    Returns:
        The files, in the order given and in natural order within folders; and an error for each other argument.
    """
    found: dict[str, Input] = {}
    faults: list[MkganError] = []
    for name in given:
        try:
            inputs = _expand(name, recursive, leave_out)
        except MkganError as fault:
            faults.append(fault)
            continue
        for one in inputs:
            try:
                check_name(hide(one.address))
            except DatasetError as fault:
                faults.append(fault)
                continue
            found.setdefault(one.uri, one)
    return list(found.values()), faults


def natural(path: str) -> list[tuple[int, str]]:
    """Sort key for natural order, which puts im_2 before im_13.

    Example:
        >>> sorted(["im_13.png", "im_2.png", "a/b.png"], key=natural)
        ['a/b.png', 'im_2.png', 'im_13.png']
    """
    parts = re.split(r"([0-9]+)", path)
    return [(int(part), "") if number % 2 else (0, part.lower()) for number, part in enumerate(parts)]


def _expand(given: str, recursive: bool, leave_out: str) -> list[Input]:
    """The files that one argument names.

    Raises:
        MkganError: if there are none, with a remedy.
    """
    if not given:
        raise DatasetError("the name of an image is empty; name an image file, a folder or a glob")
    place = Store(given if "://" in given else os.path.expanduser(given), patient=False)
    kind = _kind(place, given)
    if kind == "file":
        return [Input(given, place.uri)]
    if kind == "directory":
        remedy = "name another folder" if recursive else "add --recursive to search its subfolders"
        wanted = f"the folder {given} contains no images; {remedy}"
        return _pick(place, given, place.root, None if recursive else 1, leave_out, wanted)
    if kind is not None:
        raise DatasetError(f"{given} is a device or pipe, not an image; name an image file, a folder or a glob")
    magic = MAGIC_ON_THE_WEB if place.fs.protocol in (WEB, *WEB) else MAGIC
    if not magic.search(place.root):
        raise DatasetError(f"'{given}' does not exist; name an image file, a folder or a glob")
    return _pick(place, given, None, None, leave_out, f"the pattern {given} matches no image; check it")


def _pick(place: Store, given: str, folder: str | None, depth: int | None, leave_out: str, nothing: str) -> list[Input]:
    """The images in a folder, or without a folder those that a glob matches."""
    if folder is None:
        entries = _read(given, lambda: place.fs.glob(place.root, detail=True))
        top = posixpath.dirname(MAGIC.split(place.root, maxsplit=1)[0])
        endings = posixpath.splitext(place.root)[1].lower()
        endings = PICTURES if not endings or MAGIC.search(endings) else (endings,)  # a suffix in the glob wins
    else:
        if place.local:  # `find` takes a folder that cannot be read for empty
            _read(given, lambda: os.listdir(folder))
        entries = _read(given, lambda: place.fs.find(place.root, maxdepth=depth, detail=True))
        top, endings = folder, PICTURES
    found = []
    for path, info in entries.items():
        uri, below = place.fs.unstrip_protocol(path), posixpath.relpath(path, top or "/")
        hidden = any(part.startswith(".") for part in below.split("/"))
        if info["type"] != "file" or hidden or not path.lower().endswith(endings):
            continue
        if leave_out and uri.startswith(f"{leave_out}/") and not f"{place.uri}/".startswith(f"{leave_out}/"):
            continue
        address = uri if "://" in given else path if posixpath.isabs(given) else os.path.relpath(path)
        found.append(Input(address, uri, posixpath.dirname(below) if folder else ""))
    if not found:
        raise DatasetError(nothing)
    return sorted(found, key=lambda one: natural(one.uri))


def _kind(place: Store, given: str) -> str | None:
    """``file``, ``directory``, another word for a device or pipe, or None if nothing exists there."""

    def look() -> str | None:
        try:
            return place.fs.info(place.root)["type"]
        except (FileNotFoundError, NotADirectoryError):
            return None

    return _read(given, look)


def _read(given: str, look: Callable[[], T]) -> T:
    """Look at a file system.

    Raises:
        StorageError: for any error, since each file system raises its own kinds.
    """
    try:
        return look()
    except Exception as fault:
        why = reason(fault)
        raise StorageError(f"cannot read {given}: {why}; name a file or URL that this machine can read") from fault
