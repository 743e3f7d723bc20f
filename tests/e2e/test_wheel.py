"""The wheel in an environment of its own, used from another folder: what a user without a checkout has."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.e2e.services import PATIENCE_S, clean_environment
from tests.test_dependencies import BARE

ROOT = Path(__file__).parents[2]
SOURCES = ("mkgan_core", "flows", "tasks", "deployments", "prefect.yaml", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the sources: setuptools would leave a folder behind, and take an old one's files."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source, target = ROOT / name, folder / "sources" / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    build = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(folder)]
    run(sys.executable, "-m", "pip", *build, str(folder / "sources"), cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment's programs; it has the wheel, and sees the packages of this one but not mkgan's."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    programs = folder / "bin"
    (packages,) = folder.glob("lib/python*/site-packages")
    # a folder that a .pth names is searched, but its own .pth files, which lead to the checkout, are not read
    (packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = ["install", "--no-deps", "--no-index", str(wheel)]
    run(sys.executable, "-m", "pip", "--python", str(programs / "python"), *install, cwd=folder)
    return programs


def run(*command: str, cwd: Path, code: int = 0, **environment: str) -> str:
    """What a command prints; it must end with this code."""
    done = subprocess.run(
        command, cwd=cwd, env=clean_environment(**environment), capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def test_the_wheel_has_the_data_and_no_tests(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert packages == {"mkgan_core", "flows", "tasks", "deployments"}
    for folder in ("mkgan_core/datasets/sample_files", "mkgan_core/reports/templates"):
        files = {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert files
        assert files <= set(names)
    assert {"mkgan_core/__init__.pyi", "mkgan_core/py.typed"} <= set(names)
    assert zipfile.ZipFile(wheel).read("deployments/prefect.yaml") == (ROOT / "prefect.yaml").read_bytes()


def test_a_photograph_without_the_pipeline(programs: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    bare = [str(programs / "python"), "-c", BARE]
    where = "import mkgan_core; print(mkgan_core.__file__)"
    assert str(programs.parent) in run(bare[0], "-c", where, cwd=tmp_path)
    assert "zssr" in run(*bare, "methods", cwd=tmp_path)
    run(*bare, "upscale", "photo.png", "--method", "bicubic+back-projection", cwd=tmp_path)
    assert Image.open(tmp_path / "out" / "photo_x2.png").size == (96, 80)
    refusal = run(*bare, "benchmark", "--dataset", "sample", cwd=tmp_path, code=2)
    assert "mkgan[pipeline]" in refusal
    assert refusal.count("\n") == 1


def test_a_benchmark_keeps_its_state_in_the_users_folder(programs: Path, tmp_path: Path) -> None:
    command = [str(programs / "mkgan"), "benchmark", "--dataset", "sample", "--method", "bicubic", "--limit", "1"]
    (tmp_path / "here").mkdir()
    printed = run(*command, cwd=tmp_path / "here", XDG_DATA_HOME=str(tmp_path / "user"))
    report = pd.read_parquet(printed.strip().splitlines()[-1].removeprefix("report: "))
    assert list(report["status"]) == ["ok"]
    assert {path.name for path in (tmp_path / "user" / "mkgan").iterdir()} == {"store", ".prefect"}
    assert list((tmp_path / "here").iterdir()) == []
    # what `mkgan deploy` puts on a server is found too
    names = "from deployments.set_up import deployment_names; print(*deployment_names())"
    assert "sample-smoke" in run(str(programs / "python"), "-c", names, cwd=tmp_path)
