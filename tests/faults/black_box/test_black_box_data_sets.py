"""FAULTS.md, what data sets did: M3, M6, M7, M8, M11 to M14, and of the L-class."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from tests.faults.black_box.attack import Mkgan
from tests.faults.black_box.material import blur, data_set, photograph, save

pytestmark = pytest.mark.e2e
HANG_S = 40
BLIND = ("--method", "bicubic", "--method", "spectral+back-projection")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A data set of one image that a test may spoil."""
    return data_set(tmp_path / "own")


def steps(mkgan: Mkgan) -> list[Path]:
    return list(mkgan.store.glob("artifacts/*/*/*"))


def test_a_name_that_is_no_utf_8(quick: Mkgan, own: Path) -> None:
    """M3, in a data set: refused before anything is computed, or reported."""
    for folder in ("gt", "lr_x2"):
        os.rename(own / folder / "im_1.png", bytes(own / folder) + b"/caf\xe9.png")
    done = quick.benchmark(own, "--method", "bicubic")
    done.is_orderly(0, 1, 2)
    assert quick.made(done) is not None if done.code != 2 else not steps(quick)


@pytest.mark.parametrize("command", ["benchmark", "dataset check"])
@pytest.mark.parametrize("name", ["lr_x2/im_1.png", "gt_k_x2/kernel_1.mat"])
def test_a_pipe_in_the_place_of_a_file(quick: Mkgan, own: Path, command: str, name: str) -> None:
    """M6: named, at once."""
    (own / name).unlink()
    os.mkfifo(own / name)
    given = ("benchmark", "--dataset", str(own), *BLIND) if command == "benchmark" else ("dataset", "check", str(own))
    done = quick(*given, patience_s=HANG_S)
    done.is_orderly(1, 2)
    assert name in done.said


def test_an_image_named_twice(quick: Mkgan, own: Path) -> None:
    """M7: taken once, or refused before anything is computed."""
    done = quick.benchmark(own, *BLIND, "--images", "im_1,im_1")
    done.is_orderly(0, 2)
    assert len(quick.made(done)) == 2 if done.code == 0 else not steps(quick)


def test_a_device_that_is_not_there(quick: Mkgan, own: Path) -> None:
    """M8: refused before anything starts."""
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    done = quick.benchmark(own, *BLIND, "--device", "cuda")
    done.is_orderly(2)
    assert not steps(quick)


@pytest.mark.parametrize("folder", ["lr_x2", "gt"])
def test_two_files_for_one_image(quick: Mkgan, own: Path, folder: str) -> None:
    """M11: none of them is taken silently."""
    save(own / folder / "im_1.tif", photograph(192 if folder == "gt" else 96, 192 if folder == "gt" else 96, seed=5))
    done = quick.benchmark(own, "--method", "bicubic")
    done.is_orderly(2)
    assert "im_1.tif" in done.err
    assert "im_1.png" in done.err


def test_a_text_beside_a_picture(quick: Mkgan, own: Path) -> None:
    """M11: gt/im_1.txt is no ground truth."""
    (own / "gt" / "im_1.txt").write_text("a note")
    done = quick.benchmark(own, "--method", "bicubic")
    done.is_orderly(0)
    assert set(quick.made(done)["status"]) == {"ok"}


TRUE_KERNELS = {
    "of one number": np.ones((1, 1)),
    "that sums to almost nothing": np.triu(np.ones((11, 11))) - np.tril(np.ones((11, 11))) + 1e-8,
}


@pytest.mark.parametrize("name", TRUE_KERNELS)
def test_what_a_bad_true_kernel_costs(quick: Mkgan, own: Path, name: str) -> None:
    """M12: no blind method, or the plan refuses it by name."""
    savemat(own / "gt_k_x2" / "kernel_1.mat", {"Kernel": TRUE_KERNELS[name]})
    done = quick.benchmark(own, *BLIND)
    done.is_orderly(0, 2)
    if done.code == 2:
        assert "kernel_1.mat" in done.err
        assert not steps(quick)
    else:
        assert set(quick.made(done)["status"]) == {"ok"}


def _cell() -> Any:
    cell = np.empty((2, 2), object)
    cell[:] = [[np.ones((3, 3)), "a"], [1.0, np.zeros(2)]]
    return cell


NO_KERNELS = {
    "cell": _cell(),
    "struct": {"a": np.ones((3, 3)), "b": "c"},
    "sparse": csc_matrix(np.eye(11)),
    "char": "a kernel",
    "complex": blur() * (1 + 0.5j),
    "not square": np.ones((11, 9)),
}


@pytest.mark.parametrize("name", NO_KERNELS)
def test_a_variable_that_is_no_kernel(mkgan: Mkgan, own: Path, name: str) -> None:
    """M13: the file is named; nothing is dropped with a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        savemat(own / "gt_k_x2" / "kernel_1.mat", {"Kernel": NO_KERNELS[name]})
    done = mkgan("dataset", "check", str(own))
    done.is_orderly(*((0, 1, 2) if name == "sparse" else (1, 2)))
    assert "Warning" not in done.err
    assert done.code == 0 or "kernel_1.mat" in done.said


def test_an_enormous_kernel(mkgan: Mkgan, own: Path) -> None:
    """M13: 1001 x 1001 took more than a minute."""
    savemat(own / "gt_k_x2" / "kernel_1.mat", {"Kernel": np.random.default_rng(0).random((1001, 1001))})
    mkgan("dataset", "check", str(own), patience_s=HANG_S).is_orderly(0, 1, 2)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", '{"images": 3}'])
def test_a_damaged_manifest(mkgan: Mkgan, own: Path, text: str) -> None:
    """M14."""
    (own / "manifest.json").write_text(text)
    done = mkgan("dataset", "check", str(own))
    done.is_orderly(1, 2)
    assert "manifest.json" in done.said


def test_planning_reads_headers_alone(quick: Mkgan, tmp_path: Path) -> None:
    """L-class: a plan that ends at its last image has decoded no pixels of the others."""
    data = data_set(tmp_path / "data", ("im_1", "im_2", "im_3"))
    (data / "lr_x2" / "im_3.png").write_bytes(b"no picture")
    told = tmp_path / "pixels"
    done = quick.using(BLACK_BOX_PIXELS=str(told)).benchmark(data, "--method", "bicubic")
    done.is_orderly(2)
    assert not told.exists(), told.read_text()


def test_names_in_the_text_of_the_ui(quick: Mkgan, own: Path, api: str) -> None:
    """L-class: a failed row's image name is no HTML of the run's Markdown."""
    import httpx
    from markdown_it import MarkdownIt

    name = "<img src=x onerror=alert(1)>"
    for folder in ("gt", "lr_x2"):
        (own / folder / "im_1.png").rename(own / folder / f"{name}.png")
    done = quick.benchmark(own, "--method", "given/bicubic")  # without its mask, and so the row fails
    done.is_orderly(0, 1, 2)
    if done.code == 2:
        assert not steps(quick)
        return
    sort = {"sort": "CREATED_DESC", "limit": 200, "artifacts": {"type": {"any_": ["markdown"]}}}
    texts = [str(found["data"]) for found in httpx.post(f"{api}/artifacts/filter", json=sort, timeout=60).json()]
    own_texts = [text for text in texts if str(quick.store) in text]
    assert own_texts
    pages = [MarkdownIt("commonmark").render(text) for text in own_texts]  # lets HTML through
    assert not [page for page in pages if "<img" in page]


def test_a_name_of_two_lines(quick: Mkgan, own: Path) -> None:
    """L-class: the list of failures has a line for each."""
    name = "im\nfailed: im_7 invented"
    for folder in ("gt", "lr_x2"):
        (own / folder / "im_1.png").rename(own / folder / f"{name}.png")
    done = quick.benchmark(own, "--method", "given/bicubic")
    done.is_orderly(0, 1, 2)
    assert not [line for line in done.said.splitlines() if line.startswith("failed: im_7")]
