"""What is missing, cut or altered in a store counts as not done, and is made again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mkgan_core.datasets.layout import Dataset, ImageSpec
from mkgan_core.errors import ArtifactError, StorageError
from mkgan_core.machine.storage import Store, sha256
from mkgan_core.pipeline import jobs, walk
from mkgan_core.pipeline.jobs import Job
from mkgan_core.pipeline.method import parse
from mkgan_core.pipeline.records import find, sealed
from mkgan_core.pipeline.results import Result
from tests import data_sets
from tests.drive import common_of

METHOD = "given/bicubic+back-projection"  # masks, kernels, enlargements and a picture


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ImageSpec:
    return Dataset(str(data_sets.write_data_set(tmp_path_factory.mktemp("data")))).plan(2)[0]


@pytest.fixture(scope="module")
def finished(spec: ImageSpec, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    """A store with a finished image, and the content of its artifacts."""
    store = tmp_path_factory.mktemp("finished") / "store"
    assert again(spec, store)[0].error is None
    return store, artifacts(store)


@pytest.fixture
def store(finished: tuple[Path, dict[str, bytes]], tmp_path: Path) -> Path:
    """A copy at another place, as nobody looks for a moved store either."""
    return Path(shutil.copytree(finished[0], tmp_path / "store"))


def again(spec: ImageSpec, store: Path) -> tuple[Result, list[str]]:
    """Run the method; returns its result and the steps that were computed."""
    computed = []

    def step(job: Job[Any]) -> Any:
        found = jobs.find(job)
        if found is None:
            computed.append(job.step)
        return jobs.run(job)

    return walk.run(walk.enlarge(spec, parse(METHOD), 0, common_of(store)), step), computed


def artifacts(store: Path) -> dict[str, bytes]:
    """The files that are no records, whose times differ."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.glob("artifacts/**/*"))
        if path.is_file() and path.suffix != ".json"
    }


def remove(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    """As a power cut may leave it."""
    path.write_bytes(b"\0" * path.stat().st_size)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").touch()


def other_json(path: Path) -> None:
    path.write_text("{}")


def deep_json(path: Path) -> None:
    path.write_text("[" * 100_000)


def a_list(path: Path) -> None:
    path.write_text("[1, 2]")


def a_changed_figure(path: Path) -> None:
    record = json.loads(path.read_text())
    path.write_text(json.dumps({**record, "seconds": record["seconds"] + 1}))


def the_record_of_another(path: Path) -> None:
    record = json.loads(path.read_text())
    path.write_text(json.dumps(sealed({**{k: v for k, v in record.items() if k != "check"}, "key": "0" * 64})))


@pytest.mark.parametrize("step", ["segment", "kernel", "upscale", "compose"])
@pytest.mark.parametrize("damage", [remove, cut, empty, zeros, flip])
def test_a_damaged_file_is_made_again(
    spec: ImageSpec, finished: Any, store: Path, step: str, damage: Callable[[Path], None]
) -> None:
    path = next(path for path in sorted(store.glob(f"artifacts/{step}/*/*")) if path.suffix != ".json")
    damage(path)
    result, computed = again(spec, store)
    assert result.error is None
    assert set(computed) == {step}
    assert artifacts(store) == finished[1]


@pytest.mark.parametrize("step", ["segment", "kernel", "upscale", "compose"])
@pytest.mark.parametrize(
    "damage", [remove, empty, zeros, cut, other_json, deep_json, a_list, a_changed_figure, the_record_of_another]
)
def test_a_damaged_record_is_made_again(
    spec: ImageSpec, finished: Any, store: Path, step: str, damage: Callable[[Path], None]
) -> None:
    damage(next(iter(sorted(store.glob(f"artifacts/{step}/*/*.json")))))
    result, computed = again(spec, store)
    assert result.error is None
    assert set(computed) == {step}
    assert artifacts(store) == finished[1]


@pytest.mark.parametrize("ending", [".npy", ".png"])
def test_whole_files_under_each_others_names(spec: ImageSpec, finished: Any, store: Path, ending: str) -> None:
    first, second = (path for path in sorted(store.glob(f"artifacts/*/*/*{ending}"))[-2:])
    first_data, second_data = first.read_bytes(), second.read_bytes()
    first.write_bytes(second_data)
    second.write_bytes(first_data)
    assert again(spec, store)[0].error is None
    assert artifacts(store) == finished[1]


def test_a_fault_that_passes_costs_no_work(spec: ImageSpec, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reading of a file is spoilt on its way."""
    read, spoilt = Store.read, []

    def once(self: Store, name: str) -> bytes:
        data = read(self, name)
        if name.endswith(".png") and not spoilt:
            spoilt.append(name)
            return data[:-1]
        return data

    monkeypatch.setattr(Store, "read", once)
    _, computed = again(spec, store)
    assert spoilt
    assert computed == []


def test_a_store_that_cannot_be_read_is_not_taken_for_damaged(
    spec: ImageSpec, finished: Any, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(self: Store, name: str) -> bytes:
        raise StorageError("away")

    with monkeypatch.context() as patch:
        patch.setattr(Store, "read", away)
        result, computed = again(spec, store)
    assert "away" in (result.error or "")
    assert computed == []
    assert artifacts(store) == finished[1]


def test_what_made_a_damaged_file_runs_again_too(spec: ImageSpec, finished: Any, store: Path) -> None:
    """A kernel is damaged, and the enlargements that need it are gone."""
    for path in store.glob("artifacts/kernel/*/*.npy"):
        cut(path)
    for step in ("upscale", "compose"):
        shutil.rmtree(store / "artifacts" / step)
    result, computed = again(spec, store)
    assert result.error is None
    assert set(computed) == {"kernel", "upscale", "compose"}
    assert artifacts(store) == finished[1]


def test_a_file_that_is_damaged_on_the_way(spec: ImageSpec, finished: Any, tmp_path: Path) -> None:
    """Whole when its step was done, damaged when the next one needs it."""
    store, damaged = tmp_path / "store", []

    def step(job: Job[Any]) -> Any:
        record = jobs.run(job)
        if job.step == "kernel" and not damaged:
            damaged.append(flip(store / record["kernel"]["name"]))
        return record

    result = walk.run(walk.enlarge(spec, parse(METHOD), 0, common_of(store)), step)
    assert damaged
    assert result.error is None
    assert not result.damaged
    assert artifacts(store) == finished[1]


def test_a_folder_in_the_place_of_a_file_is_named(spec: ImageSpec, store: Path) -> None:
    """It cannot be written over; the image fails, with the name of what is in the way."""
    path = next(iter(sorted(store.glob("artifacts/compose/*/*.png"))))
    replace_by_folder(path)
    result, _ = again(spec, store)
    assert path.name in (result.error or "")
    assert not list(store.glob("**/*.part"))


def test_a_store_can_be_moved_and_is_not_mixed_up(spec: ImageSpec, finished: Any, store: Path, tmp_path: Path) -> None:
    result, computed = again(spec, store)
    assert computed == []
    moved = store.rename(tmp_path / "elsewhere")
    result, computed = again(spec, moved)
    assert computed == []
    assert result.composed
    assert not result.composed["output"]["name"].startswith("/")
    assert Store(str(moved)).fetch(result.composed["output"])


@pytest.mark.parametrize("name", ["../secret", "{folder}/secret", "artifacts/../../secret", "file://{folder}/secret"])
def test_records_cannot_name_files_elsewhere(tmp_path: Path, name: str) -> None:
    """Not even those whose content somebody knows."""
    (tmp_path / "secret").write_text("secret")
    name, store = name.format(folder=tmp_path), Store(str(tmp_path / "store"))
    with pytest.raises(StorageError):
        store.read(name)
    mask = {"name": name, "size": 6, "sha256": sha256(b"secret")}
    record = sealed({"key": "k", "label": "segment x", "mask": mask})
    store.write_json("record.json", record)
    assert find(store, "record.json", "k") is None  # as one that is damaged: its step is done again


def test_a_pipe_does_not_keep_anybody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ArtifactError, match="pipe"):
        Store(str(tmp_path)).read("pipe.png")
