"""The benchmark scripts start and run; what they measure is for `make bench`."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from mkgan_core.datasets.layout import FileRef, ImageSpec
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline.jobs import Job
from mkgan_core.pipeline.records import Record, StepRecord
from tests.benchmarks.overhead import SharedSteps

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
SCRIPTS = sorted({path.stem for path in FOLDER.glob("*.py")} - {"common", Path(__file__).stem})


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_says_how_it_is_called(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"tests.benchmarks.{script}")
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as ended:
        module.main()
    assert ended.value.code == 0
    assert f"python -m tests.benchmarks.{script}" in capsys.readouterr().out


def test_the_gpu_script_runs_on_the_cpu_without_prefect(tmp_path: Path) -> None:
    """And loads nothing that a bare machine would lack."""
    target = tmp_path / "gpu.json"
    code = (
        "import sys\n"
        "for name in ('prefect', 'pydantic', 'typer', 'pandas', 'pyarrow', 'cv2', 'rich', 'torchvision', 'filelock'):\n"
        "    sys.modules[name] = None\n"
        "from tests.benchmarks import gpu\n"
        f"sys.argv = 'gpu --device cpu --batches 1,2 --regions 2 --steps 2 --repeat 2"
        f" --json {target}'.split()\n"
        "gpu.main()\n"
    )
    # several threads wait for each other whenever something else wants a core: ten times as long
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300, env=environment)
    result = json.loads(target.read_text())["gpu"]["result"]
    assert {"regions_1", "regions_2", "layered_ms"} == set(result["of_kernelgan"])
    assert {"networks_1", "networks_2"} == set(result["of_zssr"])
    assert result["paper"]["regions"] == 2
    assert all(abs(row["cpu"] - row["gpu"]) < 0.01 for row in result["agreement"])  # here both are the CPU


@dataclass(frozen=True)
class _Slow(Job[StepRecord]):
    """A step that counts how often it is computed."""

    computed: list[str]

    step = "slow"

    @property
    def label(self) -> str:
        return "wait"

    def depends_on(self) -> dict[str, Any]:
        return {"image": self.spec.image}

    def compute(self, store: Store) -> Record:
        self.computed.append(self.spec.image)
        time.sleep(0.1)
        return {}


def test_walks_in_threads_share_their_steps(tmp_path: Path) -> None:
    computed: list[str] = []
    low = FileRef("memory://none.png", "")
    specs = [ImageSpec("none", name, 2, low, None, {}, None, (8, 8)) for name in ("a", "b") * 4]
    work = [_Slow(spec, Store(str(tmp_path)).uri, "fast", "cpu", computed) for spec in specs]
    steps = SharedSteps()
    with ThreadPoolExecutor(len(work)) as pool:
        found = list(pool.map(steps, work))
    assert sorted(computed) == ["a", "b"]
    assert [record["key"] for record in found] == [job.key for job in work]
    assert set(steps.records) == {job.key for job in work}
