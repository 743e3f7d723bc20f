"""`mkgan store check` and `prune`: what is whole, and what no report needs."""

from __future__ import annotations

import os
import shutil
import time
from datetime import timedelta
from pathlib import Path

import pytest

from mkgan_core.errors import StorageError
from mkgan_core.machine.storage import Store
from mkgan_core.reports import upkeep
from mkgan_core.reports.runs import ARTIFACTS, REPORT, RUN_FILE, RunFolder
from tests import data_sets
from tests.drive import benchmark, results

METHODS = ["bicubic", "given/bicubic+back-projection"]
AT_ONCE = timedelta(0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_sets.write_data_set(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def made(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the report of two methods, and a third method that no report is about."""
    place = tmp_path_factory.mktemp("made") / "store"
    benchmark(folder, str(place), METHODS)
    results(folder, str(place), ["bicubic+back-projection"])
    return place


@pytest.fixture
def place(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "store"))


def names(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.glob("artifacts/**/*") if path.is_file()}


def test_a_whole_store(place: Path) -> None:
    found = upkeep.check(Store(str(place)))
    assert found.damaged == {}
    assert found.left == []
    assert found.runs == {"run": None}
    assert set(found.whole) | {file for files in found.whole.values() for file in files} == names(place)


def test_damage_is_found_and_nothing_is_changed(place: Path) -> None:
    picture = next(iter(sorted(place.glob("artifacts/upscale/*/*.png"))))
    picture.write_bytes(b"\0" * picture.stat().st_size)
    record = next(iter(sorted(place.glob("artifacts/segment/*/*.json"))))
    record.write_text("{")
    (place / "artifacts" / "kernel" / "x.npy.0123456789abcdef0123456789abcdef.part").write_bytes(b"half")
    (place / "runs" / "run" / REPORT).write_bytes(b"PAR1")
    before = names(place)
    found = upkeep.check(Store(str(place)))
    own = picture.with_suffix(".json").relative_to(place)
    assert {str(own), str(record.relative_to(place))} <= found.damaged.keys()
    assert "artifacts/kernel/x.npy.0123456789abcdef0123456789abcdef.part" in found.left
    assert found.runs["run"]
    assert names(place) == before


def test_what_others_keep_in_the_folder_is_never_named(place: Path) -> None:
    """A store in somebody's home: pictures in its folder photos, an editor's and a download's files."""
    theirs = ["photos/summer.jpg", "photos/2019/a.png", "artifacts/notes.txt", "film.mp4.part", "runs/run/thesis.part"]
    for name in theirs:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"theirs")
    found = upkeep.check(Store(str(place)))
    assert not set(theirs) & {*upkeep.unneeded(Store(str(place)), AT_ONCE), *found.left}


@pytest.mark.parametrize("listed", [True, False])
def test_what_no_report_needs_is_named(place: Path, folder: Path, listed: bool) -> None:
    """By the run's own list, or, of a version that made none, by its tables."""
    store = Store(str(place))
    if listed:
        kept = {name for name in names(place) if name.endswith(".json")}
        RunFolder.of("run", store.uri).store.write_json(ARTIFACTS, sorted(kept))
        assert upkeep.unneeded(store, AT_ONCE) == []
        return
    unneeded = upkeep.unneeded(store, AT_ONCE)
    assert unneeded
    for name in unneeded:
        store.remove(name)
        store.remove(name)  # somebody else was quicker
    found = upkeep.check(store)
    assert found.damaged == {}
    assert found.left == []
    before = names(place)
    benchmark(folder, str(place), METHODS)
    again = names(place) - before  # segmentations have no files that a table could name, nor have descriptions
    assert {name.split("/")[1] for name in again} <= {"segment", "describe"}


def test_what_is_young_stays(place: Path) -> None:
    assert upkeep.unneeded(Store(str(place)), timedelta(days=1)) == []
    long_ago = time.time() - 3 * 24 * 3600
    for path in place.glob("artifacts/**/*"):
        os.utime(path, (long_ago, long_ago))
    assert upkeep.unneeded(Store(str(place)), timedelta(days=1))


def test_a_report_that_cannot_be_read_stops_it(place: Path) -> None:
    (place / "runs" / "run" / "regions.parquet").write_bytes(b"no table")
    with pytest.raises(StorageError, match="run"):
        upkeep.unneeded(Store(str(place)), AT_ONCE)


def test_a_run_without_a_report_needs_nothing(place: Path) -> None:
    store = Store(str(place))
    store.write_json(f"runs/unfinished/{RUN_FILE}", {})
    assert upkeep.unneeded(store, AT_ONCE)
