"""How results are called, and that nothing is overwritten that was not meant to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flows.cli.inputs import Input
from flows.cli.outputs import Policy, folder_at, picture_format, stems, targets
from mkgan_core.errors import ConfigError, StorageError


def inputs(*paths: str) -> list[Input]:
    return [Input(path, f"file:///data/{path}") for path in paths]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.jpg", "b.png"], ["a", "b"]),
        (["a.jpg", "a.png"], ["a_jpg", "a_png"]),
        (["x/a.jpg", "y/a.jpg"], ["x/a", "y/a"]),
        (["x/a.jpg", "x/a.png", "y/a.jpg"], ["x/a", "a_png", "y/a"]),
        (["a.jpg", "a.png", "a_jpg.tif"], ["a", "a_png", "a_jpg_tif"]),
        (["x/a.jpg", "x/A.jpg"], ["a_jpg", "A_jpg_2"]),
        (["a", "x/a"], ["a", "x/a"]),
        (["x/a.jpg", "b.jpg"], ["a", "b"]),
    ],
)
def test_names(paths: list[str], names: list[str]) -> None:
    assert stems(inputs(*paths)) == names


def test_subfolders_are_mirrored() -> None:
    found = [Input("in/sub/a.jpg", "file:///in/sub/a.jpg", "sub"), Input("in/a.jpg", "file:///in/a.jpg")]
    assert stems(found) == ["sub/a", "a"]


NAMES = st.from_regex(r"(x/|y/|x/y/)?[aAb](_jpg|_2)?(\.jpg|\.png|)", fullmatch=True)


@given(st.lists(NAMES, min_size=1, max_size=12, unique=True))
def test_no_two_inputs_share_a_name(paths: list[str]) -> None:
    names = stems(inputs(*paths))
    assert len({name.casefold() for name in names}) == len(paths)
    assert all(Path(path).stem.casefold() in name.casefold() for path, name in zip(paths, names, strict=True))


def plan(folder: Path, *paths: str, **policy: bool):
    found = [Input(path, (folder / path).as_uri()) for path in paths]
    return targets(found, folder_at(str(folder)), lambda stem: [f"{stem}_x2.png"], Policy(**policy))


def test_results_that_exist_are_kept(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "a_x2.png"):
        (tmp_path / name).touch()
    with pytest.raises(ConfigError, match=r"a_x2\.png.*--overwrite.*--skip-existing"):
        plan(tmp_path, "a.png", "b.png")
    assert [bool(target.present) for target in plan(tmp_path, "a.png", "b.png", skip_existing=True)] == [True, False]
    assert [bool(target.present) for target in plan(tmp_path, "a.png", "b.png", overwrite=True)] == [False, False]
    with pytest.raises(ConfigError, match="--skip-existing"):
        Policy(overwrite=True, skip_existing=True)


def test_no_input_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    (tmp_path / "linked.png").touch()
    (tmp_path / "a_x2.png").symlink_to("linked.png")
    for other in ("a_x2.png", "linked.png"):
        for policy in ({"overwrite": True}, {"skip_existing": True}, {}):
            with pytest.raises(ConfigError, match=other.replace(".", r"\.")):
                plan(tmp_path, "a.png", other, **policy)


@pytest.mark.parametrize(
    ("output", "wanted", "quality", "chosen"),
    [
        (None, None, None, "png"),
        (None, "JPEG", 5, "jpg"),
        ("x/large.tiff", None, None, "tif"),
        ("large.jpeg", "jpg", 100, "jpg"),
        ("large.webp", None, 1, "webp"),
    ],
)
def test_formats(output: str | None, wanted: str | None, quality: int | None, chosen: str) -> None:
    assert picture_format(output, wanted, quality) == chosen


@pytest.mark.parametrize(
    ("output", "wanted", "quality", "datum"),
    [
        ("large.gif", None, None, r"large\.gif"),
        ("large", None, None, "large"),
        (None, "bmp", None, "bmp"),
        ("large.png", "jpg", None, r"large\.png.*jpg"),
        (None, None, 90, "90"),
        ("large.tif", None, 90, "90"),
    ],
)
def test_formats_that_cannot_be(output: str | None, wanted: str | None, quality: int | None, datum: str) -> None:
    with pytest.raises(ConfigError, match=datum):
        picture_format(output, wanted, quality)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="--out"):
        folder_at(str(tmp_path / "file")).check_writable()


def test_places_are_shown_as_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert folder_at("here").shown("a.png") == "here/a.png"
    assert folder_at("memory://there").shown("a.png") == "memory:///there/a.png"


def test_an_empty_name_is_not_this_folder() -> None:
    with pytest.raises(ConfigError):
        folder_at("")


def test_no_file_is_replaced_unasked(tmp_path: Path) -> None:
    """Not even if the file that tells that an image was done is missing."""
    (tmp_path / "b").write_text("mine")
    files = [("a", b"new"), ("b", b"new")]
    with pytest.raises(ConfigError, match="exists"):
        folder_at(str(tmp_path)).save(files, Policy())
    assert not (tmp_path / "a").exists()
    folder_at(str(tmp_path)).save(files, Policy(overwrite=True))
    assert [(tmp_path / name).read_text() for name in "ab"] == ["new", "new"]
