"""A data set's ``manifest.json``: the hashes of its files, and its noise and JPEG quality."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from mkgan_core.datasets.file_names import stays_inside
from mkgan_core.errors import ArtifactError, DatasetError
from mkgan_core.machine.storage import Store, sha256

NAME = "manifest.json"


@dataclass(frozen=True)
class Manifest:
    """The parts of a manifest that are used.

    Attributes:
        hashes: file -> SHA-256; names are relative to the data set's folder and stay inside it.
        noise: standard deviation of white noise on the low-resolution images, 0 to 255.
        jpeg: their JPEG quality; 0 for no compression.
    """

    hashes: dict[str, str] = field(default_factory=dict)
    noise: float = 0.0
    jpeg: float = 0.0


def read_json(data: bytes, name: str) -> dict[str, Any]:
    """A JSON document that is an object.

    Raises:
        DatasetError: naming the file, if it is not.
    """
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as fault:
        raise DatasetError(f"{name} is not valid JSON ({fault}); remove it, or make the data set again") from fault
    if not isinstance(content, dict):
        raise _wrong(name, "the whole document", "an object")
    return content


def read_manifest(store: Store) -> Manifest:
    """The manifest of a data set; an empty one if there is none.

    Raises:
        DatasetError: naming the file, if it is damaged, has another structure, or names files outside the data set.
    """
    if not store.exists(NAME):
        return Manifest()
    name = store.uri_of(NAME)
    content = read_json(store.read(NAME), name)
    images = content.get("images", [])
    if not isinstance(images, list):
        raise _wrong(name, "'images'", "a list")
    hashes: dict[str, str] = {}
    for image in images:
        files = image.get("files", {}) if isinstance(image, dict) else None
        if not isinstance(files, dict) or not all(isinstance(digest, str) for digest in files.values()):
            raise _wrong(name, "an entry of 'images'", "an object whose 'files' have their SHA-256")
        hashes |= files
    if outside := next((file for file in hashes if not stays_inside(file)), None):
        raise DatasetError(f"{name} names {outside!r}, which is outside the data set; make the data set again")
    return Manifest(hashes, _number(content, "noise", name, 255), _number(content, "jpeg", name, 100))


def is_whole(store: Store, files: Any) -> bool:
    """Whether the files of a data set exist and are unchanged.

    Args:
        store: the data set's folder.
        files: file -> SHA-256, from a document that may be damaged; anything else gives False.

    Raises:
        StorageError: if the folder cannot be read, so that the answer is unknown.
    """
    if not isinstance(files, dict):
        return False
    try:
        return all(sha256(store.read(file)) == digest for file, digest in files.items())
    except ArtifactError:
        return False


def _number(content: dict[str, Any], key: str, name: str, most: int) -> float:
    value = content.get(key) or 0
    if not isinstance(value, int | float) or not 0 <= value <= most:
        raise _wrong(name, f"'{key}'", f"a number from 0 to {most}")
    return value


def _wrong(name: str, what: str, wanted: str) -> DatasetError:
    return DatasetError(f"{name}: {what} is not {wanted}; remove the file, or make the data set again")
