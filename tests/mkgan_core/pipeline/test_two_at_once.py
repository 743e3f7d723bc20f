"""Two processes at work in one store do no step twice, and one takes over what the other died at."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests import data_sets

RUN = """
import sys, time
from pathlib import Path
from mkgan_core.pipeline import jobs
from tests.drive import results

compute = jobs._compute
def told(job, store):
    print(job.key, flush=True)
    if job.step == "upscale":
        time.sleep(float(sys.argv[3]))
    return compute(job, store)
jobs._compute = told
found = results(Path(sys.argv[1]), sys.argv[2], ["bicubic", "given/bicubic+back-projection"])
assert not any(result.error for result in found)
"""


def start(data: Path, store: Path, pause_s: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, str(data), str(store), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])


def test_a_step_in_work_elsewhere_is_waited_for(tmp_path: Path) -> None:
    data = data_sets.write_data_set(tmp_path / "data")
    both = [start(data, tmp_path / "store", 0.3) for _ in range(2)]
    computed = [process.communicate(timeout=120)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    steps = computed[0] + computed[1]
    assert steps
    assert len(steps) == len(set(steps))
    assert not any((tmp_path / "store" / "locks").iterdir())


def test_a_step_whose_process_died_is_taken_over(tmp_path: Path) -> None:
    data = data_sets.write_data_set(tmp_path / "data")
    first = start(data, tmp_path / "store", 600)
    assert first.stdout
    while not any((tmp_path / "store" / "locks").glob("upscale-*")):
        time.sleep(0.05)
        assert first.poll() is None
    second = start(data, tmp_path / "store", 0)
    assert second.stdout
    time.sleep(0.5)
    first.kill()
    first.wait()
    second.communicate(timeout=120)
    assert second.returncode == 0
