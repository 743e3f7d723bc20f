"""The SQLite database of a Prefect server of mkgan's own. Nothing in it is needed to go on with a benchmark."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

NAME = "prefect.db"
_ELSEWHERE = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def damage(file: Path) -> str | None:
    """What is wrong with a database, None if nothing is or it is in use and cannot be looked at.

    Raises:
        OSError: if the file cannot be opened.
    """
    if not file.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True)) as database:
            found = str(database.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as fault:
        if fault.sqlite_errorcode == sqlite3.SQLITE_CANTOPEN:
            raise OSError(f"{file} cannot be opened") from fault
        return str(fault) if fault.sqlite_errorcode & 0xFF in _DAMAGE else None  # the rest of the code is detail
    return None if found == "ok" else found


def set_aside_if_damaged(state: Path) -> Path | None:
    """Rename a damaged database, so that the server begins a new one; returns its new name, None if it is sound.

    Does nothing where the server keeps its data elsewhere.
    """
    file = state / NAME
    if any(name in os.environ for name in _ELSEWHERE) or not damage(file):
        return None
    aside = file.with_name(f"{NAME}.damaged-{datetime.now():%Y%m%d-%H%M%S}")
    for suffix in ("-wal", "-shm"):  # they belong to it: a new database would be mixed with them
        part = file.with_name(NAME + suffix)
        if part.exists():
            part.rename(f"{aside}{suffix}")
    return file.rename(aside)
