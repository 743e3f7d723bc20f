"""The installed command as a stranger runs it: a process of its own, with its own embedded server."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.e2e.services import BIN, PATIENCE_S, call, clean_environment, until


def test_a_benchmark_and_its_repetition(dataset_folder: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = ["mkgan", "benchmark", "--dataset", str(dataset_folder)]
    command += ["--method", "bicubic", "--method", "given/bicubic+back-projection"]
    first = call(*command, environment=clean_environment(MKGAN_HOME=str(home)))
    assert first.returncode == 0, first.stderr
    assert all(re.match(r"starting|writing|\d+/4 rows", line) for line in first.stderr.splitlines())  # progress only
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
    quiet = call(*command, "--quiet", environment=clean_environment(MKGAN_HOME=str(home)))
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
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


@pytest.mark.parametrize("runner", ["threads", "processes"])
def test_an_interrupted_benchmark_leaves_no_process_and_goes_on_later(
    dataset_folder: Path, tmp_path: Path, runner: str
) -> None:
    home = tmp_path / "home"
    options = ["benchmark", "--dataset", str(dataset_folder), "--method", "kernelgan+back-projection"]
    options += ["--runner", runner, "--limit", "1"]
    with (tmp_path / "log").open("wb") as log:
        environment = clean_environment(MKGAN_HOME=str(home))
        process = subprocess.Popen(
            [str(BIN / "mkgan"), *options], env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            until(lambda: list(home.glob("store/artifacts/segment/*/*.json")), "the first step", 0.05)
            its_own = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            assert process.wait(PATIENCE_S) == 130
        finally:
            process.kill()
            process.wait()
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said
    assert "mkgan retry tiny-x2-fast-" in said
    assert its_own
    assert not psutil.wait_procs(its_own, timeout=PATIENCE_S)[1]
    with closing(sqlite3.connect(home / ".prefect" / "prefect.db")) as database:
        assert list(database.execute("SELECT state_name FROM flow_run")) == [("Cancelled",)]
    again = call("mkgan", *options, environment=clean_environment(MKGAN_HOME=str(home)))
    assert again.returncode == 0, again.stderr
    cached = re.search(r"steps, (\d+) of them cached", again.stdout)
    assert cached and int(cached[1])
