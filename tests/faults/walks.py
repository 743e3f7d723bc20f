"""A small benchmark without a server, what it leaves in its store, and whether two such are the same in every bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mkgan_core.errors import MkganError
from mkgan_core.machine.storage import PART, Store
from mkgan_core.reports.runs import open_run
from tests import data_sets, drive

METHODS = ("bicubic", "given/bicubic+back-projection")
ALL_METHODS = (*METHODS, "fft-texture/spectral+back-projection")
# of a record or a report: what each computation has of its own, and where it was done
OWN = frozenset({"check", "seconds", "peak_memory_mb", "threads", "run_id", "created_at", "settings_hash", "git_sha"})


def one_image(folder: Path) -> Path:
    """The tiny data set with its first image only."""
    made = data_sets.write_data_set(folder)
    for path in sorted(made.rglob("*")):
        if path.is_file() and ("im_2" in path.name or "kernel_2" in path.name or "img2" in path.parts):
            path.unlink()
    return made


def attempt(data: Path, store: str, methods: Sequence[str] = METHODS) -> str | None:
    """Run the benchmark; what went wrong, None if all was well. Any other exception than ours is the caller's."""
    try:
        uri = drive.benchmark(data, store, methods)
        rows = open_run(uri, store).rows
    except MkganError as fault:
        return str(fault)
    failed = rows[rows["status"] != "ok"]
    return None if failed.empty else str(failed["error"].iloc[0])


@dataclass(frozen=True)
class Finished:
    """What a run has made.

    Attributes:
        files: name -> hash, for the artifacts that are no records.
        records: name -> what is in them, without times and the like.
        figures: table -> its rows, without times and places, floats to the last bit.
    """

    files: dict[str, str]
    records: dict[str, str]
    figures: dict[str, list[str]]


def finished(store: Path, run: str = "run") -> Finished:
    """What a run has made in a store."""
    made = open_run(run, Store(str(store)).uri)
    assert not made.notes, made.notes
    tables = {"rows": made.rows, "regions": made.regions, "images": made.images}
    return Finished(
        {name: hashlib.sha256(data).hexdigest() for name, data in _artifacts(store) if not name.endswith(".json")},
        {name: json.dumps(_without(json.loads(data))) for name, data in _artifacts(store) if name.endswith(".json")},
        {name: sorted(map(str, _rows(table))) for name, table in tables.items()},
    )


def _artifacts(store: Path) -> list[tuple[str, bytes]]:
    """The artifacts' names and content, without the contact sheet, which only the flow makes."""
    paths = [path for path in sorted(store.glob("artifacts/*/*/*")) if path.is_file() and path.suffix != PART]
    paths = [path for path in paths if path.parents[1].name != "sheet"]
    return [(str(path.relative_to(store)), path.read_bytes()) for path in paths]


def _without(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(part) for name, part in sorted(value.items()) if name not in OWN}
    return [_without(part) for part in value] if isinstance(value, list) else value


def _rows(table: Any) -> list[list[str]]:
    columns = [name for name in table.columns if name not in OWN and not name.startswith("seconds")]
    places = [name for name in columns if name.endswith("_uri")]
    return [
        [f"{name}={value.hex() if isinstance(value, float) else value}" for name, value in row.items()]
        for row in table[columns].drop(columns=places).to_dict("records")
    ]


def parts(store: Path) -> list[Path]:
    """The files of interrupted writes."""
    return sorted(store.rglob(f"*{PART}"))


def record_bytes(store: Path) -> dict[str, bytes]:
    """The records as they are, by which is seen whether a step was done again."""
    return {name: data for name, data in _artifacts(store) if name.endswith(".json")}
