"""The installed command as a stranger runs it: a process of its own, with its own embedded server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

MKGAN = Path(sys.executable).parent / "mkgan"


def mkgan(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MKGAN_"))}
    environment["MKGAN_HOME"] = str(home)
    return subprocess.run([str(MKGAN), *arguments], env=environment, capture_output=True, text=True, timeout=600)


def test_a_benchmark_and_its_repetition(dataset_folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    options = ["--dataset", str(dataset_folder), "--method", "bicubic", "--method", "given/bicubic+back-projection"]
    first = mkgan(home, "benchmark", *options)
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert "0 of them cached" in first.stdout
    report = pd.read_parquet(first.stdout.strip().splitlines()[-1].removeprefix("report: "))
    assert (report["status"] == "ok").all()
    assert len(report) == 4

    second = mkgan(home, "benchmark", *options)
    assert second.returncode == 0, second.stderr
    steps = next(line for line in second.stdout.splitlines() if "cached" in line)
    assert steps.split()[0] == steps.split()[2]  # "20 steps, 20 of them cached"
    assert {path.name for path in home.iterdir()} == {"store", ".prefect"}


def test_bad_input_ends_with_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    done = mkgan(home, "benchmark", "--dataset", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert done.stderr.startswith("error: data set")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not list(home.glob("store/**/*.*"))
    assert not list(home.glob("store/runs"))
