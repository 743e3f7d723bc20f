"""The installed command as a stranger runs it: a process of its own, with its own embedded server."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd

from tests.e2e.services import call, clean_environment


def test_a_benchmark_and_its_repetition(dataset_folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = ["mkgan", "benchmark", "--dataset", str(dataset_folder)]
    command += ["--method", "bicubic", "--method", "given/bicubic+back-projection"]
    first = call(*command, environment=clean_environment(MKGAN_HOME=str(home)))
    assert first.returncode == 0, first.stderr
    assert first.stderr == ""
    assert "0 of them cached" in first.stdout
    report = pd.read_parquet(first.stdout.strip().splitlines()[-1].removeprefix("report: "))
    assert (report["status"] == "ok").all()
    assert len(report) == 4
    # one line a step in the run's log, where the UI shows it
    with closing(sqlite3.connect(home / ".prefect" / "prefect.db")) as database:
        lines = [line for (line,) in database.execute("SELECT message FROM log WHERE name = 'mkgan_core'")]
    count = int(re.findall(r"(\d+) steps", first.stdout)[0])
    assert len([line for line in lines if not line.startswith("describe")]) == count

    second = call(*command, environment=clean_environment(MKGAN_HOME=str(home)))
    assert second.returncode == 0, second.stderr
    steps = next(line for line in second.stdout.splitlines() if "cached" in line)
    assert steps.split()[0] == steps.split()[2]  # "20 steps, 20 of them cached"
    assert {path.name for path in home.iterdir()} == {"store", ".prefect"}


def test_bad_input_ends_with_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = ["mkgan", "benchmark", "--dataset", str(tmp_path / "nowhere")]
    done = call(*command, environment=clean_environment(MKGAN_HOME=str(home)))
    assert done.returncode == 2
    assert done.stderr.startswith("error: data set")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
    assert not list(home.glob("store/**/*.*"))
    assert not list(home.glob("store/runs"))
