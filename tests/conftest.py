"""Shared fixtures: the real test data, when it is there, and small synthetic pictures."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from mkgan_core.datasets.layout import ImageSpec
from mkgan_core.datasets.sample import open_sample
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import parts
from tests import data_sets

settings.register_profile("mkgan", deadline=None)  # no test asserts a time
settings.load_profile("mkgan")
DATA = Path(os.environ.get("MKGAN_TEST_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
ARTIFACTS = Path(__file__).parent.parent / "out" / "test-artifacts"  # pictures to look at; git ignores them


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """The search for examples in docstrings imports every module; here, only those of tests."""
    helper = collection_path.suffix == ".py" and not collection_path.name.startswith(("test_", "conftest"))
    return True if helper else None


def real_data(name: str) -> Path:
    """A file or folder of the real test data; a test that needs it is skipped without, or fails if told so."""
    path = DATA / name
    if path.exists():
        return path
    lacking = f"no {name} in {DATA}: set MKGAN_TEST_DATA"
    if os.environ.get("MKGAN_REQUIRE_DATA") == "1":
        pytest.fail(f"{lacking}; MKGAN_REQUIRE_DATA=1 wants it")
    pytest.skip(lacking)


def needs(*packages: str) -> None:
    """Skip a test without these packages; not by importing them: ultralytics changes Pillow and numpy as it comes."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"the package {package} is not installed")


@pytest.fixture(autouse=True)
def no_weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in this machine's cache must not change what tests see."""
    monkeypatch.setenv("MKGAN_WEIGHTS", "")
    monkeypatch.setenv("MKGAN_CACHE", str(tmp_path_factory.getbasetemp() / "mkgan-cache"))


@pytest.fixture
def own_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    registry = {kind: dict(known) for kind, known in parts._registry().items()}
    for source in ("_registered", "_registry"):
        monkeypatch.setattr(parts, source, lambda: registry)


@pytest.fixture
def yolo_weights(no_weights: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real YOLOv8n, where MKGAN_WEIGHTS finds it."""
    path = real_data("weights/yolov8n_int8.tflite")
    needs("ultralytics", "ai_edge_litert")
    monkeypatch.setenv("MKGAN_WEIGHTS", str(path))
    return path


@pytest.fixture(scope="session")
def div2krk() -> Path:
    """The folder of 12 DIV2KRK images."""
    return real_data("div2krk_dev")


@pytest.fixture(scope="session")
def coffee(tmp_path_factory: pytest.TempPathFactory) -> ImageSpec:
    """A real photograph on every machine: the built-in sample's coffee at x2, low resolution 300 x 200."""
    (spec,) = open_sample("sample", Store(str(tmp_path_factory.mktemp("sample")))).plan(2, ["coffee"])
    return spec


@pytest.fixture
def picture() -> np.ndarray:
    """A small photograph-like picture, (96, 120, 3)."""
    return data_sets.picture()


@pytest.fixture
def dataset_folder(tmp_path: Path) -> Path:
    """A data set of two tiny images in the DIV2KRK layout, x2, with kernels and a mask."""
    return data_sets.write_data_set(tmp_path / "tiny")
