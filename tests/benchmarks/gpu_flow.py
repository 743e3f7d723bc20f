"""On a GPU: the flow `benchmark` over 100 images of DIV2KRK's size, end to end, and what bounds it.

python -m tests.benchmarks.gpu_flow [--images 100] [--json FILE]
Through Prefect, with an embedded server's SQLite; every method starts with an empty store. ``multi-kernelgan+zssr``
is given three regions for each image. ``--device cpu --images 1 --height 128`` tries it without a GPU.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import psutil
import torch

from mkgan_core.datasets.file_names import image_files
from mkgan_core.machine.cores import cores
from mkgan_core.machine.storage import Store
from mkgan_core.part import NoSettings
from mkgan_core.pipeline import parts
from mkgan_core.segmenters.base import Segmenter
from tests.benchmarks import common

METHODS = ("kernelgan+zssr", "thirds/kernelgan+zssr", "spectral+zssr")
SHAPE = (1356, 2040)  # a common size of DIV2KRK's photographs


@parts.register("thirds")
class Thirds(Segmenter[NoSettings]):
    """Three upright stripes."""

    def masks(
        self, image: np.ndarray, given: Mapping[str, np.ndarray], *, device: str = "cpu"
    ) -> dict[str, np.ndarray]:
        column = np.broadcast_to(np.arange(image.shape[1]) * 3 // image.shape[1], image.shape[:2])
        return {f"part{number}": column == number for number in range(3)}


def photograph(number: int, shape: tuple[int, int]) -> np.ndarray:
    """One of scikit-image's, moved and mirrored to size; another one for every number."""
    from skimage import data

    photo = (data.coffee, data.astronaut, data.chelsea)[number % 3]().astype(np.float32) / 255
    return common.mirrored(np.roll(photo, 17 * number, axis=(0, 1)), shape)


def write(folder: Path, count: int, shape: tuple[int, int]) -> str:
    """The data set, written by all cores."""
    store = Store(str(folder))

    def one(number: int) -> None:
        high = photograph(number, shape)
        low, kernel = common.degraded(high, number)
        for file, content in image_files(f"im_{number}", high, {2: low}, {2: {"background": kernel}}):
            store.write(file, content)

    with ThreadPoolExecutor(cores()) as pool:
        list(pool.map(one, range(count)))
    return str(folder)


@contextmanager
def watched(found: dict[str, float], device: str, every_s: float = 0.25) -> Iterator[None]:
    """Put into ``found`` the mean use of the card (share of the time in which a kernel ran) and of the cores."""
    ended, gpu, cpu = threading.Event(), [], []

    def look() -> None:
        psutil.cpu_percent()
        while not ended.wait(every_s):
            cpu.append(psutil.cpu_percent())
            if device != "cpu":
                gpu.append(torch.cuda.utilization())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        found |= {"cpu_percent": fmean(cpu) if cpu else 0.0} | ({"gpu_percent": fmean(gpu)} if gpu else {})


def run(dataset: str, method: str, store: str, device: str) -> dict[str, Any]:
    """One run of the flow; inside `common.prefect`."""
    from flows.benchmark import benchmark
    from flows.config import BenchmarkConfig

    config = BenchmarkConfig(dataset=dataset, methods=[method], store=store, device=device)
    found: dict[str, Any] = {"method": method}
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    start = time.perf_counter()
    with watched(found, device):
        state = benchmark(config, return_state=True)
    found |= {"seconds": time.perf_counter() - start, "state": state.message}
    if device != "cpu":
        found["gpu_mb"] = torch.cuda.max_memory_reserved() / 2**20
    print({name: round(value, 1) if isinstance(value, float) else value for name, value in found.items()}, flush=True)
    return found


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--height", type=int, default=SHAPE[0])
    parser.add_argument("--methods", type=common.names, default=list(METHODS))
    options = parser.parse_args()
    if options.device != "cpu" and not torch.cuda.is_available():
        print("torch sees no CUDA device: nothing measured")
        return
    print(common.machine())
    measure(options)


def measure(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="mkgan-gpu-") as folder:
        root = Path(folder)
        os.environ["MKGAN_HOME"] = str(root / "home")
        shape = (options.height, options.height * SHAPE[1] // SHAPE[0])
        dataset = write(root / "data", options.images, shape)
        with common.prefect(root / "home"):
            rows = [
                run(dataset, method, str(root / f"store{number}"), options.device)
                for number, method in enumerate(options.methods)
            ]
    common.save(options.json, "gpu_flow", rows)


if __name__ == "__main__":
    main()
