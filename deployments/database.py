"""The SQLite database of a Prefect server that mkgan starts. Benchmarks can be resumed without it."""

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
    """What is wrong with a database; None if it is sound, or in use and cannot be checked.

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
            raise OSError(f"cannot open {file}") from fault
        return str(fault) if fault.sqlite_errorcode & 0xFF in _DAMAGE else None  # the rest of the code is detail
    return None if found == "ok" else found


def set_aside_if_damaged(state: Path) -> Path | None:
    """Rename a damaged database, so that the server creates a new one; return its new name, or None if it is sound.

    Does nothing if the server uses another database.
    """
    file = state / NAME
    if any(name in os.environ for name in _ELSEWHERE) or not damage(file):
        return None
    aside = file.with_name(f"{NAME}.damaged-{datetime.now():%Y%m%d-%H%M%S}")
    for suffix in ("-wal", "-shm"):  # they belong to the old database and would corrupt the new one
        part = file.with_name(NAME + suffix)
        if part.exists():
            part.rename(f"{aside}{suffix}")
    return file.rename(aside)
