"""What is meant by the arguments of `mkgan upscale` and its like."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import fsspec
import pytest

from flows.cli.inputs import Input, find
from mkgan_core.errors import MkganError

FILES = [
    "im_13.png",
    "im_2.PNG",
    "b.jpg",
    "notes.txt",
    "film.gif",
    "[1].png",
    ".hidden.png",
    "sub/c.webp",
    "sub/.cache/d.png",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in FILES:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "in"


def addresses(*given: str, **options: bool) -> list[str]:
    found, faults = find(given, **options)
    assert not faults
    return [one.address for one in found]


def test_a_folder_means_its_pictures_in_natural_order(folder: Path) -> None:
    assert addresses("in") == ["in/[1].png", "in/b.jpg", "in/film.gif", "in/im_2.PNG", "in/im_13.png"]
    assert addresses(str(folder))[1] == str(folder / "b.jpg")


def test_what_cannot_be_read_is_not_passed_over(folder: Path) -> None:
    (folder / "phone.HEIC").touch()
    assert "in/phone.HEIC" in addresses("in")


def test_a_folder_that_cannot_be_read_is_not_empty(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "listdir", denied)
    _, (fault,) = find(["in"])
    assert os.strerror(errno.EACCES) in str(fault)


def test_subfolders_on_request_and_where_they_are(folder: Path) -> None:
    found, _ = find(["in"], recursive=True)
    assert {one.address: one.below for one in found}["in/sub/c.webp"] == "sub"
    assert len(found) == 6
    assert [one.below for one in find(["in/sub/c.webp"])[0]] == [""]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("in/*.png", ["in/[1].png", "in/im_13.png"]),
        ("in/im_*", ["in/im_2.PNG", "in/im_13.png"]),
        ("in/**/*.webp", ["in/sub/c.webp"]),
        ("in/*.txt", ["in/notes.txt"]),  # who asks for it gets it
        ("in/[1].png", ["in/[1].png"]),  # a file of that name comes before the glob
        ("./in/b.?pg", ["in/b.jpg"]),
    ],
)
def test_globs(folder: Path, pattern: str, names: list[str]) -> None:
    assert addresses(pattern) == names


def test_a_file_is_taken_once_whatever_its_ending(folder: Path) -> None:
    assert addresses("in/notes.txt", "in/b.jpg", "in/*.jpg", str(folder / "b.jpg")) == ["in/notes.txt", "in/b.jpg"]


def test_what_is_in_the_folder_of_results_is_no_input(folder: Path) -> None:
    out = (folder / "sub").as_uri()
    for given in ("in", "in/**/*.webp"):
        found, _ = find([given], recursive=True, leave_out=out)
        assert not [one for one in found if one.below]
        assert not [one for one in found if one.name == "c.webp"]
    assert [one.name for one in find(["in/sub"], leave_out=out)[0]] == ["c.webp"]  # unless it is named itself


def test_urls(folder: Path) -> None:
    memory = fsspec.filesystem("memory")
    for name in ("a_10.png", "a_9.png", "deep/b.jpg"):
        memory.pipe(f"/pictures/{name}", b"")
    assert addresses("memory://pictures") == ["memory:///pictures/a_9.png", "memory:///pictures/a_10.png"]
    assert addresses("memory://pictures/**/*.jpg") == ["memory:///pictures/deep/b.jpg"]
    assert addresses("memory://pictures/a_9.png", folder.as_uri() + "/b.jpg")[0] == "memory://pictures/a_9.png"
    memory.rm("/pictures", recursive=True)


def test_a_bad_argument_costs_only_itself(folder: Path) -> None:
    os.mkfifo("in/pipe.png")
    (folder / "empty").mkdir()
    bad = ["nowhere.png", "in/*.bmp", "in/empty", "in/pipe.png", "/dev/null", "no-such-protocol://x/a.png"]
    found, faults = find([*bad, "in/b.jpg"])
    assert [one.address for one in found] == ["in/b.jpg"]
    for name, fault in zip(bad, faults, strict=True):
        assert isinstance(fault, MkganError)
        assert name in str(fault)


def test_the_name_of_an_image_on_the_web_is_that_of_its_path() -> None:
    one = Input("http://host/a%20b.jpg?size=large", "http://host/a%20b.jpg?size=large")
    assert (one.name, one.stem, one.suffix) == ("a b.jpg", "a b", "jpg")
    assert Input("http://host/", "http://host/").stem == "image"
