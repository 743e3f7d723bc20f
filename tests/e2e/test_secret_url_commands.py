"""A password in the data set's URL, by the command in a process of its own: nothing below its home knows it later."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.services import call, clean_environment
from tests.locked_server import PASSWORD, SECRETS, USER, leaks, serving


@pytest.mark.parametrize("runner", ["threads", "processes", "dask"])
def test_a_benchmark_leaves_no_password(dataset_folder: Path, tmp_path: Path, runner: str) -> None:
    home = tmp_path / "home"
    with serving(dataset_folder) as place:
        command = ["mkgan", "benchmark", "--dataset", f"http://{USER}:{PASSWORD}@{place}", "--method", "bicubic"]
        done = call(*command, "--runner", runner, environment=clean_environment(MKGAN_HOME=str(home)))
    assert done.returncode == 0, done.stderr
    assert f"http://***@{place}" in done.stdout
    assert not [secret for secret in SECRETS if secret in done.stdout + done.stderr]
    assert (home / ".prefect" / "server.log").exists()
    assert list(home.glob("store/runs/*/report.parquet"))
    assert not leaks(home)
