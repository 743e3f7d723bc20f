"""A report names files: only the artifacts of its store and the files of its data set are read, wherever they are."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mkgan_core.errors import DatasetError
from mkgan_core.imaging import images
from mkgan_core.machine.storage import sha256
from mkgan_core.reports import page, runs
from mkgan_core.reports.roots import Roots, confined
from tests.data_sets import write_data_set
from tests.drive import benchmark
from tests.loopback import counting

METHODS = ["bicubic", "given/bicubic+back-projection"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set `set` and a store `store` with a run of it."""
    folder = tmp_path_factory.mktemp("made")
    benchmark(write_data_set(folder / "set"), str(folder / "store"), METHODS)
    return folder


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """A web server on this machine, and the requests that it saw."""
    with counting() as (address, seen):
        yield address, seen


def change(file: Path, made_of: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    out = io.BytesIO()
    made_of(pd.read_parquet(file)).to_parquet(out)
    file.write_bytes(out.getvalue())


def pictures_of(run: runs.Run) -> int:
    return page.render(run).count('<div class="pictures">')


def test_a_moved_store_has_its_own_files(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "store", tmp_path / "moved")
    report = tmp_path / "moved" / "runs" / "run" / "report.parquet"
    for run in (runs.open_run(str(report), "memory://unused"), runs.open_run("run", str(tmp_path / "moved"))):
        named = [*run.rows["output_uri"], *run.regions["output_uri"], *run.regions["mask_uri"].dropna()]
        assert all(uri.startswith(f"file://{tmp_path}/moved/artifacts/") for uri in named)
        html = page.render(run)
        assert html.count('<div class="pictures">') == 2
        assert "Not shown" not in html


def test_a_report_elsewhere_has_the_files_of_the_store_that_is_given(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "store" / "runs" / "run", tmp_path / "copy")
    report = str(tmp_path / "copy" / "report.parquet")
    assert pictures_of(runs.open_run(report, str(made / "store"))) == 2
    html = page.render(runs.open_run(report, str(tmp_path / "empty")))
    assert html.count("Not shown: given/bicubic+back-projection: ") == 2


def test_a_data_set_in_the_store_moves_with_it(made: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    shutil.copytree(made / "set", old / "datasets" / "own")
    benchmark(old / "datasets" / "own", str(old), ["bicubic"])
    old.rename(new)
    html = page.render(runs.open_run("run", str(new)))
    assert html.count('<div class="pictures">') == 2
    assert "Not shown" not in html


def test_the_sample_needs_no_run_file() -> None:
    places = Roots.of("s3://bucket/store", None)
    uri = "file:///old/datasets/sample-0123456789ab/gt/coffee.png"
    assert places.data(uri) == "s3://bucket/store/datasets/sample-0123456789ab/gt/coffee.png"
    assert confined(str(places.data(uri)), places.folders)
    with pytest.raises(DatasetError):
        confined(str(places.data(uri.replace("gt", "../../x"))), places.folders)


@pytest.mark.parametrize(
    "facts", [None, [], {}, {"config": None}, {"config": {"dataset": 3}}, {"config": {"store": ""}}]
)
def test_a_run_file_that_tells_nothing(facts: object) -> None:
    assert Roots.of("memory:///s", facts) == Roots("memory:///s")


@pytest.mark.parametrize(
    "uri",
    [
        "file:///etc/passwd",
        "/etc/passwd",
        "../../etc/passwd",
        "{store}/artifacts/../../secret/im_1.png",
        "{store}/artifacts/kernel/../../../secret/im_1.png",
        "{store}/artifacts/..%2f..%2f..%2fsecret/im_1.png",
        "{store}/runs/run/report.parquet",
        "{server}/artifacts/upscale",
        "{server}/x.png",
        "{server}/artifacts/upscale/00/0123456789abcdef.png",
        "{store}/artifacts/x::{server}/x.png",
        "simplecache::{server}/x.png",
        "ftp://127.0.0.1:1/x.png",
        "file://{folder}/secret/im_1.png",
        "",
        "\0",
    ],
)
def test_nothing_else_is_read(made: Path, tmp_path: Path, asked: tuple[str, list[str]], uri: str) -> None:
    """Neither as an artifact nor as a file of the data set, although somebody else's picture lies there."""
    secret = images.encode_png(np.ones((192, 240, 3)))
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "im_1.png").write_bytes(secret)
    shutil.copytree(made / "store", tmp_path / "store")
    folder = tmp_path / "store" / "runs" / "run"
    named = uri.format(store=f"file://{tmp_path}/store", server=asked[0], folder=tmp_path)
    change(folder / "report.parquet", lambda t: t.assign(output_uri=named))
    change(folder / "regions.parquet", lambda t: t.assign(output_uri=named, kernel_uri=named, mask_uri=named))
    places = ("low", "high", "mask", "kernel", "object_kernel")
    crafted = {f"{n}_uri": named for n in places} | {f"{n}_sha256": sha256(secret) for n in places}
    crafted["more_objects"] = json.dumps({"object-2": {"mask": sha256(secret), "kernel": sha256(secret)}})
    change(folder / "images.parquet", lambda t: t.assign(**crafted))
    opened = runs.open_run(str(folder / "report.parquet"), "memory://unused")
    html = page.render(opened)
    assert html.count('<div class="pictures">') == 0
    assert html.count("No pictures: ") == 2
    assert f'<th scope="row">{METHODS[0]}</th>' in html  # the figures stay
    assert asked[1] == []


def test_a_pipe_does_not_hold_up_the_page(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "store", tmp_path / "store")
    folder = tmp_path / "store" / "runs" / "run"
    pipe = tmp_path / "store" / "artifacts" / "upscale" / "00" / f"{'0' * 64}.png"
    pipe.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(pipe)
    change(folder / "report.parquet", lambda t: t.assign(output_uri=pipe.as_uri()))
    change(folder / "images.parquet", lambda t: t.assign(low_uri=pipe.as_uri(), high_uri=pipe.as_uri()))
    html = page.render(runs.open_run("run", str(tmp_path / "store")))
    assert html.count("No pictures: ") == 2


def test_the_files_of_the_data_set_prove_themselves(made: Path, tmp_path: Path) -> None:
    """A data set that has changed since, or a hash that was made up."""
    shutil.copytree(made / "store", tmp_path / "store")
    folder = tmp_path / "store" / "runs" / "run"
    change(folder / "images.parquet", lambda t: t.assign(high_sha256="0" * 64))
    html = page.render(runs.open_run("run", str(tmp_path / "store")))
    assert html.count("Not shown: truth: ") == 2
