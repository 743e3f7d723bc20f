"""The embedded server dies while a benchmark runs: the run goes on, or ends at once."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from deployments.embedded import SERVER_PROCESS
from tests.e2e.services import BIN, PATIENCE_S, call, clean_environment, free_port, until

METHODS = ["--method", "bicubic", "--method", "given/bicubic+back-projection"]
LONG = ["--method", "kernelgan+back-projection"]
SCORES = ["image", "method", "seed", "psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "mse_rgb", "kernel_psnr", "status"]


@contextmanager
def benchmark(folder: Path, data: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """`mkgan benchmark` in a home below the folder; goes on in the block when a step is finished."""
    command = [str(BIN / "mkgan"), "benchmark", "--dataset", str(data), *options]
    environment = clean_environment(MKGAN_HOME=str(folder / "home"))
    with (folder / "out").open("w") as out, (folder / "err").open("w") as err:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=err, text=True)
    try:
        until(
            lambda: process.poll() is not None or list(folder.glob("home/store/artifacts/*/*/*.json")), "a step", 0.05
        )
        yield process
    finally:
        process.kill()
        process.wait()


def kill_server(process: subprocess.Popen[str]) -> bool:
    """Whether there was a server to kill."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children():
            if SERVER_PROCESS in child.cmdline():
                child.send_signal(signal.SIGKILL)
                return True
    return False


def scores(folder: Path) -> pd.DataFrame:
    (report,) = folder.glob("home/store/runs/*/report.parquet")
    return pd.read_parquet(report)[SCORES]


def test_a_run_survives_its_server(dataset_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "killed").mkdir()
    with benchmark(tmp_path / "killed", dataset_folder, *METHODS) as process:
        assert kill_server(process)
        assert process.wait(PATIENCE_S) == 0, (tmp_path / "killed" / "err").read_text()
    said = (tmp_path / "killed" / "out").read_text()
    assert said.count("signal 9") == 1
    assert "Traceback" not in said + (tmp_path / "killed" / "err").read_text()
    undisturbed = call(
        "mkgan", "benchmark", "--dataset", str(dataset_folder), *METHODS,
        environment=clean_environment(MKGAN_HOME=str(tmp_path / "whole" / "home")),
    )  # fmt: skip
    assert undisturbed.returncode == 0, undisturbed.stderr
    pd.testing.assert_frame_equal(scores(tmp_path / "killed"), scores(tmp_path / "whole"), check_exact=True)
    with closing(sqlite3.connect(tmp_path / "killed" / "home" / ".prefect" / "prefect.db")) as database:
        assert list(database.execute("SELECT state_name FROM flow_run")) == [("Completed",)]


def test_a_run_whose_server_cannot_be_started_again_ends_at_once(dataset_folder: Path, tmp_path: Path) -> None:
    with benchmark(tmp_path, dataset_folder, *LONG, "--preset", "best") as process:
        while process.poll() is None:
            kill_server(process)
            time.sleep(0.1)
        assert process.returncode == 2
    errors = (tmp_path / "err").read_text()
    assert errors.count("error: ") == 1
    assert "mkgan retry" in errors
    assert "Traceback" not in errors


def test_a_run_that_died_without_a_word_is_marked_by_the_next_command(dataset_folder: Path, tmp_path: Path) -> None:
    with benchmark(tmp_path, dataset_folder, *LONG) as process:
        children = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not psutil.wait_procs(children, timeout=PATIENCE_S)[1]
    home = tmp_path / "home"
    again = call(
        "mkgan", "benchmark", "--dataset", str(dataset_folder), "--method", "bicubic",
        environment=clean_environment(MKGAN_HOME=str(home)),
    )  # fmt: skip
    assert again.returncode == 0, again.stderr
    with closing(sqlite3.connect(home / ".prefect" / "prefect.db")) as database:
        states = list(database.execute("SELECT state_name FROM flow_run ORDER BY created"))
    assert states == [("Crashed",), ("Completed",)]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/api", "no-url"])
def test_an_unreachable_server_is_one_line(dataset_folder: Path, tmp_path: Path, url: str) -> None:
    command = ["mkgan", "benchmark", "--dataset", str(dataset_folder)]
    done = call(*command, environment=clean_environment(MKGAN_HOME=str(tmp_path), PREFECT_API_URL=url))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert url in done.stderr


@pytest.mark.parametrize("setting", ["logging_level", "client_custom_headers"])
def test_a_wrong_setting_of_prefect_is_one_line(dataset_folder: Path, tmp_path: Path, setting: str) -> None:
    environment = clean_environment(MKGAN_HOME=str(tmp_path)) | {f"PREFECT_{setting.upper()}": "garbage"}
    done = call("mkgan", "benchmark", "--dataset", str(dataset_folder), environment=environment)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"PREFECT_{setting.upper()}" in done.stderr or setting.removeprefix("client_") in done.stderr


def test_an_impossible_home_is_one_line(dataset_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = str(tmp_path / "store")
    for home, command in (
        (str(tmp_path / "file"), ["benchmark", "--dataset", str(dataset_folder), "--store", store]),
        ("/proc/nowhere", ["serve"]),
    ):
        done = call("mkgan", *command, environment=clean_environment(MKGAN_HOME=home, MKGAN_PORT=str(free_port())))
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert home in done.stderr
