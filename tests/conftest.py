"""Shared fixtures: the real test data, when it is there, and small synthetic pictures."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests import data_sets

DATA = Path(os.environ.get("MKGAN_TEST_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
ARTIFACTS = Path(__file__).parent.parent / "out" / "test-artifacts"  # pictures to look at; git ignores them


@pytest.fixture(autouse=True)
def no_weights(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies in this machine's cache must not change what tests see."""
    monkeypatch.setenv("MKGAN_WEIGHTS", "")
    monkeypatch.setenv("MKGAN_CACHE", str(tmp_path_factory.getbasetemp() / "mkgan-cache"))


@pytest.fixture
def yolo_weights(no_weights: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real YOLOv8n, where MKGAN_WEIGHTS finds it."""
    path = DATA / "weights" / "yolov8n_int8.tflite"
    if not path.exists():
        pytest.skip(f"no test data in {DATA}; set MKGAN_TEST_DATA")
    pytest.importorskip("ultralytics")
    pytest.importorskip("ai_edge_litert")
    monkeypatch.setenv("MKGAN_WEIGHTS", str(path))
    return path


@pytest.fixture(scope="session")
def div2krk() -> Path:
    """The folder of 12 DIV2KRK images."""
    folder = DATA / "div2krk_dev"
    if not folder.is_dir():
        pytest.skip(f"no test data in {DATA}; set MKGAN_TEST_DATA")
    return folder


@pytest.fixture
def picture() -> np.ndarray:
    """A small photograph-like picture, (96, 120, 3)."""
    return data_sets.picture()


@pytest.fixture
def dataset_folder(tmp_path: Path) -> Path:
    """A data set of two tiny images in the DIV2KRK layout, x2, with kernels and a mask."""
    return data_sets.write_data_set(tmp_path / "tiny")
