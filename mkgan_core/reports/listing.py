"""The runs of a store, the newest first."""

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
    """A run in a few words.

    Attributes:
        run_id: names it.
        when: it was started; None if nothing tells.
        dataset: its name.
        scale: 2 or 4; None if nothing tells.
        methods: how many it compares.
        images: how many it has.
        result: its best blind method and that method's gain, or what is wrong with its report.
        readable: it has a report that can be read.
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
    """The last runs of a store, the newest first, finished or not.

    Which are the last is decided by when their reports were written, so that a large store is not read whole.

    Args:
        store: the artifact store.
        limit: how many at most.

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
    """The id of the newest run with a report that can be read.

    Raises:
        ConfigError: if the store has none.
        StorageError: if the store cannot be read.
    """
    for run, written in _newest(store):
        if _entry(store, run, written).readable:
            return run
    raise ConfigError(f"no run with a report in {store.uri}; start one with `mkgan benchmark`, or name another --store")


def _newest(store: Store) -> Iterator[tuple[str, datetime | None]]:
    """Run ids and when their reports were written, or without one their first files, the newest first."""
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
