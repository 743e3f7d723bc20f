"""The benchmark scripts run; what they measure is for `make bench`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_gpu_script_runs_on_the_cpu_without_prefect(tmp_path: Path) -> None:
    """And loads nothing that a bare machine would lack."""
    target = tmp_path / "gpu.json"
    code = (
        "import sys\n"
        "for name in ('prefect', 'pydantic', 'typer', 'pandas', 'pyarrow', 'cv2', 'rich', 'torchvision'):\n"
        "    sys.modules[name] = None\n"
        "from tests.benchmarks import gpu\n"
        f"sys.argv = 'gpu --device cpu --batches 1,2 --images 1 --kernelgan-iterations 2 --zssr-iterations 2"
        f" --json {target}'.split()\n"
        "gpu.main()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=300)
    result = json.loads(target.read_text())["gpu"]["result"]
    assert [row["regions"] for row in result["throughput"]] == [1, 2]
    assert result["whole_images"]["regions"] == 3
