"""Ctrl-C and SIGTERM, sent to real commands."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mkgan_core.imaging.images import to_uint8

COMMAND = """
import sys, time
import mkgan_core
from mkgan_core.machine.progress import counted

real = mkgan_core.super_resolve

def super_resolve(image, *options, **more):
    if "slow" not in str(image):
        return real(image, *options, **more)
    print("at work", flush=True)
    if "deaf" in str(image):
        time.sleep(600)
    for _ in counted(60_000):
        time.sleep(0.01)

mkgan_core.super_resolve = super_resolve
from flows.cli.main import main
main()
"""
HANG_S = 120


@pytest.fixture
def photos(tmp_path: Path, picture: np.ndarray) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("a.png", "slow.png", "slow-deaf.png", "z.png"):
        Image.fromarray(to_uint8(picture[:40, :40])).save(folder / name)
    return folder


def interrupt(arguments: list[str], number: int, times: int = 1) -> subprocess.CompletedProcess[str]:
    """Run the command until it is at work, send the signal to all its processes, as a terminal does."""
    command = [sys.executable, "-c", COMMAND, *arguments, "--method", "bicubic+back-projection"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout
    out = ""
    try:
        while "at work" not in out:
            line = process.stdout.readline()
            assert line, process.stderr and process.stderr.read()
            out += line
        for _ in range(times):
            os.killpg(process.pid, number)
            time.sleep(0.2)
        more, err = process.communicate(timeout=HANG_S)
    finally:
        process.kill()
        process.wait()
    return subprocess.CompletedProcess(command, process.returncode, out + more, err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("slow", ["slow.png", "slow-deaf.png"])
def test_an_interrupted_command_keeps_what_is_done(photos: Path, tmp_path: Path, number: int, slow: str) -> None:
    out = tmp_path / "out"
    done = interrupt(["upscale", str(photos / "a.png"), str(photos / slow), "--out", str(out)], number)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert "--skip-existing" in done.stderr
    assert [path.name for path in out.iterdir()] == ["a_x2.png"]
    assert Image.open(out / "a_x2.png").size == (80, 80)


def test_a_second_ctrl_c_ends_at_once(photos: Path, tmp_path: Path) -> None:
    done = interrupt(["upscale", str(photos / "slow-deaf.png"), "--out", str(tmp_path)], signal.SIGINT, times=2)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr


def test_the_rest_is_done_with_skip_existing(mkgan, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (photos / "slow-deaf.png").unlink()
    interrupt(["upscale", str(photos), "--out", str(out)], signal.SIGINT)
    before = (out / "a_x2.png").stat().st_mtime_ns
    code, said, _ = mkgan("upscale", str(photos), "--out", str(out), "--method", "bicubic", "--skip-existing")
    assert code == 0
    assert {path.name for path in out.iterdir()} == {"a_x2.png", "slow_x2.png", "z_x2.png"}
    assert (out / "a_x2.png").stat().st_mtime_ns == before
    assert "a_x2.png" in said
