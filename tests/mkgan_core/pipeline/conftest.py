from __future__ import annotations

from pathlib import Path

import pytest

from mkgan_core.datasets.layout import Dataset, ImageSpec
from mkgan_core.pipeline.walk import Common
from tests.drive import common_of


@pytest.fixture
def spec(dataset_folder: Path) -> ImageSpec:
    """The first image of the small data set."""
    return Dataset(str(dataset_folder)).plan(2)[0]


@pytest.fixture
def common(tmp_path: Path) -> Common:
    """What all jobs of a test have in common, with a store of its own."""
    return common_of(tmp_path / "store")
