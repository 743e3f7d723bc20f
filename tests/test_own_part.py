"""The example of a part of one's own, really installed: its name works wherever a method is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "own-part"
NAME = "sharpened-bicubic"
# the flows' check of what the Prefect form sends, then a report with the part in it
FLOWS = f"""
import json, sys
from flows.benchmark import benchmark
from flows.upscale import upscale
from mkgan_core.reports.runs import open_run
from tests import drive
methods = ["bicubic", "given/{NAME}"]
benchmark.validate_parameters({{"config": {{"dataset": "sample", "methods": methods}}}})
upscale.validate_parameters({{"config": {{"images": ["a.png"], "method": "{NAME}"}}}})
rows = open_run(drive.benchmark(sys.argv[1], sys.argv[2], methods), sys.argv[2]).rows
print(json.dumps(rows[["method", "upscaler", "status", "settings_hash"]].to_dict("records")))
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables with which Python finds the package; installed from a copy, since setuptools leaves folders behind."""
    folder = tmp_path_factory.mktemp("own-part")
    shutil.copytree(EXAMPLE, folder / "source")
    install = ["install", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder / "installed")]
    run([sys.executable, "-m", "pip", *install, str(folder / "source")], dict(os.environ))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "installed"), str(ROOT)])}


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def mkgan(*arguments: str, environment: dict[str, str]) -> str:
    return run([sys.executable, "-c", "from flows.cli.main import main; main()", *arguments], environment)


def test_it_is_one_short_file() -> None:
    (file,) = EXAMPLE.glob("*.py")
    assert len(file.read_text().splitlines()) <= 40


def test_the_command_knows_it(environment: dict[str, str], picture: np.ndarray, tmp_path: Path) -> None:
    assert NAME in mkgan("methods", environment=environment)
    Image.fromarray((picture * 255).astype(np.uint8)).save(tmp_path / "photo.png")
    for method in ("bicubic", NAME):
        folder = str(tmp_path / method)
        mkgan("upscale", str(tmp_path / "photo.png"), "--method", method, "--out", folder, environment=environment)
    plain, sharpened = (
        np.asarray(Image.open(tmp_path / method / "photo_x2.png"), float) for method in ("bicubic", NAME)
    )
    assert plain.shape == sharpened.shape
    assert np.abs(np.diff(sharpened, axis=1)).mean() > 1.1 * np.abs(np.diff(plain, axis=1)).mean()


def test_flows_and_reports_know_it(environment: dict[str, str], dataset_folder: Path, tmp_path: Path) -> None:
    printed = run([sys.executable, "-c", FLOWS, str(dataset_folder), str(tmp_path / "store")], environment)
    rows = json.loads(printed.splitlines()[-1])
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["upscaler"] for row in rows} == {"bicubic", NAME}
    assert len({row["settings_hash"] for row in rows}) == 2
