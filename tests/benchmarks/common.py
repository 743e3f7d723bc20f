"""What the benchmarks share: the machine, a fair clock, the matmul rate, the sample's images, a JSON file."""

from __future__ import annotations

import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mkgan_core.datasets.layout import load_high, load_low, true_kernel
from mkgan_core.datasets.sample import open_sample
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import whole
from mkgan_core.imaging.scores import scores
from mkgan_core.machine.cores import cores
from mkgan_core.machine.storage import Store
from mkgan_core.reports.rows import git_sha


def machine() -> dict[str, Any]:
    import torch

    model = [line.split(":")[1].strip() for line in _cpuinfo() if line.startswith("model name")]
    return {
        "cores": cores(),
        "processor": model[0] if model else platform.processor(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "git": git_sha(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _cpuinfo() -> list[str]:
    file = Path("/proc/cpuinfo")
    return file.read_text().splitlines() if file.exists() else []


def seconds(work: Callable[[], object], repeat: int = 1) -> float:
    """Median duration of a call."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def matmul_gflops(size: int = 1024, repeat: int = 15) -> float:
    """The rate of a large float32 product on the CPU, as torch is set now."""
    import torch

    a, b, out = (torch.rand(size, size) for _ in range(3))
    torch.mm(a, b, out=out)
    return 2 * size**3 / seconds(lambda: torch.mm(a, b, out=out), repeat) / 1e9


def sample_images(scale: int = 2) -> dict[str, tuple[np.ndarray, np.ndarray, Kernel]]:
    """Low-resolution image, ground truth and true kernel of the sample's images, by name."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for spec in open_sample("sample", Store(folder)).plan(scale):
            kernel = true_kernel(spec, whole(spec.shape))
            assert kernel is not None
            found[spec.image] = (load_low(spec), load_high(spec), kernel)
        return found


def psnr_y(image: np.ndarray, truth: np.ndarray, scale: int) -> float:
    return scores(image[: truth.shape[0], : truth.shape[1]], truth, scale)["psnr_y"]


def save(path: str | None, section: str, content: Any) -> None:
    """Put a section into the JSON file, which keeps its other sections."""
    if path is None:
        return
    file = Path(path)
    everything = json.loads(file.read_text()) if file.exists() else {}
    everything[section] = {"machine": machine(), "result": content}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(everything, indent=1) + "\n")
