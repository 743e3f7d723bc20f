"""FAULTS.md, H2, H3, and the lines of section 1 about a store's files: what is gone or damaged is made again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.faults.black_box import attack, material
from tests.faults.black_box.attack import METHODS, Finished, Mkgan, provoked

pytestmark = pytest.mark.e2e


def files(store: Path, step: str, ending: str) -> list[Path]:
    found = sorted(store.glob(f"artifacts/{step}/*/*{ending}"))
    provoked(found, f"no {ending} of {step}")
    return found


def remove(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def flip_exponent(path: Path) -> None:
    """One bit in the exponent of the kernel's largest number, a float64."""
    import numpy as np

    data, numbers = bytearray(path.read_bytes()), np.load(path)
    start = len(data) - numbers.nbytes + 8 * int(numbers.ravel(order="K").argmax())
    data[start + 6] ^= 0x10
    path.write_bytes(data)


def score_again(store: Path) -> None:
    remove(files(store, "compose", ".json"))


def sheet_again(store: Path) -> None:
    """The contact sheet is to be drawn again, from the enlarged pictures."""
    remove(path for path in store.glob("artifacts/sheet/*/*") if path.is_file())


def enlarge_again(store: Path) -> None:
    remove([*files(store, "upscale", ".json"), *files(store, "compose", ".json")])


def name_elsewhere(path: Path) -> None:
    """A record whose picture is one outside the store."""
    picture = material.save(path.parents[5] / "elsewhere.png", material.sharp(192, 192, 9))

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: renamed(part) for name, part in value.items()}
        return picture.as_uri() if isinstance(value, str) and value.endswith(".png") else value

    path.write_text(json.dumps(renamed(json.loads(path.read_text()))))


def spoil(step: str, ending: str, how: Callable[[Path], object], *first: Callable[[Path], None]):
    def attack_store(store: Path) -> None:
        for prepare in first:
            prepare(store)
        for path in files(store, step, ending):
            how(path)

    return attack_store


ATTACKS = {
    "picture deleted": spoil("compose", ".png", Path.unlink),
    "picture cut": spoil("compose", ".png", cut),
    "picture cut, sheet to be drawn": spoil("compose", ".png", cut, sheet_again),
    "picture deleted, sheet to be drawn": spoil("compose", ".png", Path.unlink, sheet_again),
    "enlarged picture deleted, to be scored": spoil("upscale", ".png", Path.unlink, score_again),
    "enlarged picture empty, to be scored": spoil("upscale", ".png", lambda path: path.write_bytes(b""), score_again),
    "kernel cut, to be enlarged": spoil("kernel", ".npy", cut, enlarge_again),
    "kernel's exponent flipped, to be enlarged": spoil("kernel", ".npy", flip_exponent, enlarge_again),
    "record cut": spoil("kernel", ".json", cut, enlarge_again),
    "record empty": spoil("kernel", ".json", lambda path: path.write_bytes(b""), enlarge_again),
    "record {}": spoil("kernel", ".json", lambda path: path.write_text("{}"), enlarge_again),
    "record names a picture elsewhere": spoil("upscale", ".json", name_elsewhere, score_again),
    "contact sheet cut": spoil("sheet", ".png", cut),
    "description cut": spoil("describe", ".json", cut),
    "picture of zeros, as after a power cut": spoil("compose", ".png", lambda p: p.write_bytes(bytes(60)), sheet_again),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_is_damaged_is_made_again(finished: Finished, name: str) -> None:
    """H2. Prefect's results are gone too: they would hide a damaged record."""
    shutil.rmtree(finished.mkgan.home / ".prefect" / "storage", ignore_errors=True)
    ATTACKS[name](finished.mkgan.store)
    finished.is_whole(finished.again())


def test_a_short_write_that_reports_success(quick: Mkgan, finished: Finished, tmp_path: Path) -> None:
    """Section 1: half of each kernel's record arrives; the next run, without Prefect's results, is whole."""
    store = tmp_path / "store"
    told = tmp_path / "told"
    cutting = quick.failing(
        {"kind": "short", "at": 1, "name": "/kernel/"}, {"kind": "short", "at": 2, "name": "/kernel/"}, log=told
    )
    cutting.benchmark(finished.data, *METHODS, "--store", f"faulty://{store}")
    provoked(told.exists() and "short" in told.read_text(), "no write was short")
    shutil.rmtree(quick.home / ".prefect" / "storage", ignore_errors=True)
    shutil.rmtree(store / "artifacts" / "upscale")
    shutil.rmtree(store / "artifacts" / "compose")
    done = quick.benchmark(finished.data, *METHODS, "--store", str(store))
    done.is_orderly(0)
    before = {path.parent.name for path in store.glob("runs/*/report.parquet")}
    reports = [pd.read_parquet(store / "runs" / name / "report.parquet") for name in before]
    newest = max(reports, key=lambda rows: rows["created_at"].iloc[0])
    assert attack.scores(newest) == finished.scores


@pytest.mark.parametrize("again", ["", "compose"], ids=["nothing to do", "scored again"])
def test_a_store_that_was_moved(finished: Finished, tmp_path: Path, again: str) -> None:
    """H3a: what the report names is in the new place, and a step that must be repeated finds its files there."""
    moved = tmp_path / "elsewhere"
    finished.mkgan.store.rename(moved)
    if again:
        shutil.rmtree(moved / "artifacts" / again)
        shutil.rmtree(finished.mkgan.home / ".prefect" / "storage", ignore_errors=True)
    known = {path.name for path in moved.glob("runs/*")}
    done = finished.again("--store", str(moved))
    done.is_orderly(0)
    (new,) = {path.name for path in moved.glob("runs/*")} - known
    rows = pd.read_parquet(moved / "runs" / new / "report.parquet")
    assert attack.scores(rows) == finished.scores
    assert attack.pictures(rows) == finished.pictures
    assert all(str(moved) in uri for uri in rows["output_uri"])


def test_two_stores_of_one_home_one_deleted(finished: Finished, tmp_path: Path) -> None:
    """H3b: the first store's reports name its own files, also after the other store is gone."""
    other = tmp_path / "other"
    finished.again("--store", str(other)).is_orderly(0)
    finished.is_whole(finished.again())
    shutil.rmtree(other)
    shutil.rmtree(finished.mkgan.store / "artifacts" / "compose")
    finished.is_whole(finished.again())


@pytest.mark.parametrize("how", ["cut", "empty", "gone"])
def test_prefect_results_are_damaged(finished: Finished, how: str) -> None:
    """Section 1: held before."""
    for folder in (finished.mkgan.home / ".prefect" / "storage", finished.mkgan.home / ".prefect" / "results"):
        for path in [path for path in folder.rglob("*") if path.is_file()]:
            path.write_bytes(path.read_bytes()[:30] if how == "cut" else b"") if how != "gone" else path.unlink()
    finished.is_whole(finished.again())


def test_a_damaged_record_whose_result_prefect_has(finished: Finished) -> None:
    """Section 1: held before."""
    ATTACKS["record cut"](finished.mkgan.store)
    finished.is_whole(finished.again())


def test_the_store_is_deleted_and_prefect_results_kept(finished: Finished) -> None:
    """Section 1: held before."""
    shutil.rmtree(finished.mkgan.store)
    finished.is_whole(finished.again())


def test_files_reach_the_disk_before_their_names(mkgan: Mkgan, tmp_path: Path) -> None:
    """L-class: what a step leaves is synced before it gets its name, and so a power cut leaves no empty file."""
    data, told = material.data_set(tmp_path / "data"), tmp_path / "syncs"
    spied = mkgan.using(BLACK_BOX_SYNCS=str(told))
    spied.benchmark(data, "--method", "bicubic").is_orderly(0)
    lines = told.read_text().splitlines() if told.exists() else []
    synced = {line.removeprefix("sync ") for line in lines if line.startswith("sync ")}
    moves = [line.split(" ")[1:] for line in lines if line.startswith("move ")]
    safe = {new for old, new in moves if old in synced} | synced
    left = [path for path in mkgan.store.rglob("*") if path.is_file() and path.suffix in (".png", ".json", ".parquet")]
    provoked(left, "no files")
    unsafe = [str(path) for path in left if "runs" in path.parts or "artifacts" in path.parts if str(path) not in safe]
    assert not unsafe, unsafe[:3]
