"""The folders from which a report's files may be read: the artifacts of its store, and the data set of its run.

A report may come from an untrusted source, and its store may have been moved. So artifacts are read only from the
report's store, by the part of their URI from ``artifacts/`` on, and files of the data set only below its root.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from mkgan_core.datasets.sample import NAMES
from mkgan_core.errors import DatasetError, StorageError
from mkgan_core.machine import secrets
from mkgan_core.machine.storage import Store, without_end

_ARTIFACT = re.compile(r"(?:^|/)(artifacts/[\w-]+/[0-9a-f]{2}/[0-9a-f]{8,}[^/\\]*)$")
_SAMPLE = re.compile(rf"(?:^|/)(datasets/(?:{'|'.join(NAMES)})-[0-9a-f]{{12}}/.+)$")


@dataclass(frozen=True)
class Roots:
    """The folders of a run.

    Attributes:
        store: URI of the artifact store that contains the report.
        before: URI of the store at the time of the run; None if unknown.
        dataset: URI of the data set's root; None if unknown.
    """

    store: str
    before: str | None = None
    dataset: str | None = None

    @classmethod
    def of(cls, store: str, facts: Any) -> Roots:
        """The folders of a run, from the content of its `run.json`; other content counts as unknown.

        Example:
            >>> facts = {"config": {"dataset": "/data/set/", "store": "/old/store"}}
            >>> Roots.of("file:///new/store", facts)
            Roots(store='file:///new/store', before='file:///old/store', dataset='file:///data/set')
        """
        config = facts.get("config") if isinstance(facts, dict) else None
        if not isinstance(config, dict):
            return cls(store)
        place = facts.get("dataset_uri") or config.get("dataset")
        return cls(store, _normal(config.get("store")), None if place in NAMES else _normal(place))

    @property
    def folders(self) -> tuple[str, ...]:
        """The URIs of all folders from which files may be read."""
        samples = f"{self.store}/datasets"
        return (f"{self.store}/artifacts", samples, *([self._moved(self.dataset)] if self.dataset else []))

    def artifact(self, uri: str | None) -> str | None:
        """The current URI of an artifact; other URIs are unchanged, and reading them is refused later.

        Example:
            >>> Roots("file:///new").artifact("file:///old/artifacts/kernel/9f/9f86d081.npy")
            'file:///new/artifacts/kernel/9f/9f86d081.npy'
        """
        found = _ARTIFACT.search(uri) if uri else None
        return f"{self.store}/{found[1]}" if found else uri

    def data(self, uri: str | None) -> str | None:
        """The current URI of a file of the data set."""
        found = _SAMPLE.search(uri) if uri else None
        if found:
            return f"{self.store}/{found[1]}"
        return self._moved(uri) if uri else uri

    def _moved(self, uri: str) -> str:
        if self.before and below(uri, self.before):
            return self.store + uri.removeprefix(self.before)
        return uri


def confined(uri: str, folders: tuple[str, ...]) -> str:
    """The URI of a file that a report names, if it is in one of these folders.

    Raises:
        DatasetError: if it is not.
    """
    if any(below(uri, folder) for folder in folders):
        return uri
    raise DatasetError(
        f"the report names {secrets.mask(uri)!r}, which is neither an artifact of its store nor a file of the data set "
        "in its run.json; other files are not read, so run the benchmark again"
    )


def below(uri: str, folder: str) -> bool:
    """Whether a file is in a folder or its subfolders, judged by its name without opening it.

    Example:
        >>> below("file:///set/gt/im_1.png", "file:///set"), below("file:///set/../x", "file:///set")
        (True, False)
    """
    if not uri.startswith(f"{folder}/"):
        return False
    rest = uri[len(folder) :]
    # a server may decode a path again before it opens it; `::` chains file systems
    return not any(
        ".." in form.replace("\\", "/").split("/") or "//" in form or "::" in form for form in (rest, unquote(rest))
    )


def read_facts(folder: Store, name: str) -> Any:
    """The content of a run's `run.json`; None if it is missing or damaged."""
    try:
        return json.loads(folder.read(name))
    except (StorageError, ValueError, RecursionError):
        return None


def _normal(place: Any) -> str | None:
    """A path or URL in the form of `Store.uri`; not opened, because it may come from an untrusted file."""
    if not isinstance(place, str) or not place:
        return None
    from fsspec import get_filesystem_class

    masked = secrets.hide(place)
    protocol = masked.partition("://")[0] if "://" in masked else "file"
    if protocol in ("file", "local", "memory"):
        path = get_filesystem_class(protocol)._strip_protocol(masked)
        return without_end(f"{'memory' if protocol == 'memory' else 'file'}://{path}")
    return without_end(masked)
