"""Maintenance of a store: checks its files, and finds those that no report needs."""

from __future__ import annotations

import json
import posixpath
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from mkgan_core.errors import ArtifactError, ConfigError, MkganError, StorageError
from mkgan_core.machine.storage import LOCKS, PART, Store
from mkgan_core.pipeline.records import examine, files_of
from mkgan_core.reports.runs import ARTIFACTS, REPORT, RUN_FILE, RunFolder, open_run, read

_RECORD = ".json"
_KEY = 64  # length of a key
_FOLDERS = ("artifacts", "photos", LOCKS, "runs")
# Files of steps, and leftovers of interrupted writes. A store may share its folder with a user's files, even in
# subfolders with these names, so the folder names alone are not enough.
_OURS = re.compile(
    rf"(artifacts|photos|{LOCKS})/(.*/)?([a-z]+-)?[0-9a-f]{{{_KEY}}}[^/]*"
    rf"|({'|'.join(_FOLDERS)})/.*\.[0-9a-f]{{32}}{re.escape(PART)}"
)


@dataclass
class Inventory:
    """The content of a store.

    Attributes:
        whole: names of the records of finished steps, with the names of their files.
        damaged: names of records whose steps would run again, and why.
        left: names of files that belong to no undamaged record, including those of interrupted writes.
        runs: run id -> what is wrong with its report; None for a readable report.
    """

    whole: dict[str, list[str]] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    runs: dict[str, str | None] = field(default_factory=dict)


def check(store: Store) -> Inventory:
    """Compare all files of steps with their hashes, without changing anything.

    Raises:
        StorageError: if the store cannot be read.
    """
    found = Inventory()
    names = _made(store)
    for name in names:
        if name.startswith("artifacts/") and name.endswith(_RECORD):
            record, fault = examine(store, name, posixpath.basename(name).removesuffix(_RECORD))
            if record is not None:
                found.whole[name] = [file["name"] for file in files_of(record)]
            elif fault:
                found.damaged[name] = fault
    named = {file for files in found.whole.values() for file in files}
    known = named | found.whole.keys() | found.damaged.keys()
    found.left = [name for name in names if name not in known and not name.startswith(f"{LOCKS}/")]
    for run in store.list("runs"):
        found.runs[run] = _fault_of(store, run)
    return found


def unneeded(store: Store, older_than: timedelta) -> list[str]:
    """Names of the files that no report in the store needs and that are old enough, records before their files.

    A report's folder contains a list of its steps; a report without a list (from an earlier version) needs the files in
    its tables. Files of a run without a report are kept only because of their age.

    Args:
        store: the artifact store.
        older_than: younger files stay, because a run may be using them.

    Raises:
        StorageError: if the store or a report in it cannot be read, so that its needs are unknown.
    """
    needed: set[str] = set()
    for run in store.list("runs"):
        if RUN_FILE in store.list(f"runs/{run}") and REPORT not in store.list(f"runs/{run}"):
            continue
        needed |= _needed_by(store, run)
    limit = datetime.now(UTC) - older_than
    names = [name for name in _made(store) if name not in needed and _old(store, name, limit)]
    return sorted(names, key=lambda name: (not name.endswith(_RECORD), name))


def _fault_of(store: Store, run: str) -> str | None:
    try:
        read(run, store.uri)
    except MkganError as fault:
        return str(fault)
    return None


def _needed_by(store: Store, run: str) -> set[str]:
    folder = RunFolder.of(run, store.uri)
    try:
        listed = json.loads(folder.store.read(ARTIFACTS)) if folder.store.exists(ARTIFACTS) else None
        if listed is None:
            return _named_in_tables(folder)
        needed = set(listed)
        for name in listed:
            record, _ = examine(store, name, posixpath.basename(name).removesuffix(_RECORD))
            needed |= {file["name"] for file in files_of(record)}
        return needed
    except (MkganError, ValueError, TypeError, AttributeError) as fault:
        raise StorageError(
            f"nothing was removed, because it is unknown which files run '{run}' needs ({fault}); remove its folder "
            f"{folder.store.uri}, or repair its report"
        ) from fault


def _named_in_tables(folder: RunFolder) -> set[str]:
    """The files in a report's tables, and their records."""
    run = open_run(folder.run_id, folder.artifacts)
    if run.notes:
        raise ConfigError("; ".join(run.notes))
    needed = set()
    for table in (run.rows, run.regions):
        for column in (column for column in table.columns if column.endswith("_uri")):
            for uri in table[column].dropna():
                name = uri.removeprefix(f"{folder.artifacts}/")
                key = posixpath.basename(name)[:_KEY]
                needed |= {name, f"{posixpath.dirname(name)}/{key}{_RECORD}"}
    return needed


def _made(store: Store) -> list[str]:
    """Names of the files of steps, and of all leftovers of interrupted writes."""
    return [name for folder in _FOLDERS for name in store.files(folder) if _OURS.fullmatch(name)]


def _old(store: Store, name: str, limit: datetime) -> bool:
    """Whether a file was written before this time; False if it is gone or the time is unknown."""
    try:
        at = store.modified(name)
    except ArtifactError:
        return False
    return at is not None and at < limit
