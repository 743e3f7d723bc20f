"""The runs of a store, the newest first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mkgan_core.errors import ConfigError
from mkgan_core.machine.storage import Store
from mkgan_core.reports.listing import latest, recent
from tests.drive import benchmark

METHODS = ["bicubic", "ground-truth+back-projection"]


@pytest.fixture
def store(dataset_folder: Path, tmp_path: Path) -> Store:
    """Two runs with reports, the one that sorts last is the older; a damaged one, and one that has not finished."""
    place = str(tmp_path / "store")
    for at, name in enumerate(("z-first", "a-second")):
        benchmark(dataset_folder, place, METHODS, name=name)
        os.utime(tmp_path / "store" / "runs" / name / "report.parquet", (1e9 + at, 1e9 + at))
    made = Store(place)
    made.write("runs/damaged/report.parquet", b"no table")
    made.write_json("runs/unfinished/run.json", {})
    made.write("runs/notes.txt", b"somebody's")
    return made


def test_the_newest_first(store: Store) -> None:
    found = {entry.run_id: entry for entry in recent(store, 20)}
    assert set(found) == {"z-first", "a-second", "damaged", "unfinished"}
    first = found["z-first"]
    assert (first.dataset, first.scale, first.methods, first.images) == ("tiny", 2, 2, 2)
    assert "bicubic" in first.result
    assert first.when and first.when.year == 2026  # as the report says, not the file
    assert {name for name, entry in found.items() if entry.readable} == {"z-first", "a-second"}
    assert [entry.run_id for entry in recent(store, 3) if entry.readable] == ["a-second"]


def test_the_last_run_is_the_newest_that_can_be_read(store: Store, tmp_path: Path) -> None:
    assert latest(store) == "a-second"
    assert recent(Store(str(tmp_path / "empty")), 5) == []
    with pytest.raises(ConfigError, match="--store"):
        latest(Store(str(tmp_path / "empty")))
