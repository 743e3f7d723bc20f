"""Lists the runs of a store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from mkgan_core.errors import ConfigError, MkganError
from mkgan_core.machine.storage import Store
from mkgan_core.reports import ranking
from mkgan_core.reports.runs import REPORT, RUN_FILE, read
from mkgan_core.reports.statistics import PLACE

_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """A summary of a run.

    Attributes:
        run_id: the run's id.
        when: start of the run; None if unknown.
        dataset: name of the data set.
        scale: 2 or 4; None if unknown.
        methods: number of methods.
        images: number of images.
        result: the best blind method and its gain, or what is wrong with the report.
        readable: whether the run has a report that can be read.
    """

    run_id: str
    when: datetime | None
    dataset: str = ""
    scale: int | None = None
    methods: int | None = None
    images: int | None = None
    result: str = ""
    readable: bool = True


def recent(store: Store, limit: int) -> list[Entry]:
    """The latest runs of a store, finished or not, the newest first.

    The order is that of the times at which their reports were written, so that only ``limit`` reports are read.

    Args:
        store: the artifact store.
        limit: maximum number of runs.

    Raises:
        StorageError: if the store cannot be read.
    """
    entries = []
    for run, written in _newest(store):
        entries.append(_entry(store, run, written))
        if len(entries) == limit:
            break
    return sorted(entries, key=lambda entry: entry.when or _LONG_AGO, reverse=True)


def latest(store: Store) -> str:
    """The id of the newest run whose report can be read.

    Raises:
        ConfigError: if there is no such run.
        StorageError: if the store cannot be read.
    """
    for run, written in _newest(store):
        if _entry(store, run, written).readable:
            return run
    raise ConfigError(f"no run with a report in {store.uri}; start one with `mkgan benchmark`, or name another --store")


def _newest(store: Store) -> Iterator[tuple[str, datetime | None]]:
    """Run ids with the time at which the report, or without one the first file, was written; the newest first."""
    found = []
    for run in store.list("runs"):
        names = store.list(f"runs/{run}")
        file = next((name for name in (REPORT, RUN_FILE) if name in names), None)
        if file:
            found.append((run, store.modified(f"runs/{run}/{file}")))
    yield from sorted(found, key=lambda each: (each[1] or _LONG_AGO, each[0]), reverse=True)


def _entry(store: Store, run: str, written: datetime | None) -> Entry:
    try:
        if REPORT not in store.list(f"runs/{run}"):
            return Entry(run, written, result="has not finished", readable=False)
        rows = read(run, store.uri)
    except MkganError:
        return Entry(run, written, result="its report cannot be read", readable=False)
    started = rows["created_at"].dropna()
    return Entry(
        run_id=run,
        when=started.max().to_pydatetime() if len(started) else written,
        dataset=rows["dataset"].iloc[0],
        scale=int(rows["scale"].iloc[0]),
        methods=rows["method"].nunique(),
        images=len(rows[PLACE].drop_duplicates()),
        result=ranking.headline(rows).rpartition(" on ")[0] or ranking.headline(rows),
    )
