"""What the benchmarks share: options, the machine, a fair clock, images, a Prefect server, a JSON file."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import timeit
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mkgan_core.datasets.file_names import image_files
from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.datasets.layout import Dataset, load_high, load_low
from mkgan_core.datasets.sample import open_sample
from mkgan_core.datasets.true_kernels import true_kernel
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import whole
from mkgan_core.imaging.scores import scores
from mkgan_core.machine.cores import cores, prepare_torch
from mkgan_core.machine.storage import Store
from mkgan_core.reports.rows import git_sha


class Case(NamedTuple):
    """An image whose ground truth and blur are known.

    Attributes:
        name: the image's ID.
        low: (H, W, 3) in [0, 1].
        high: its ground truth, (s H, s W, 3) or up to s - 1 pixels smaller.
        kernel: the true one.
    """

    name: str
    low: np.ndarray
    high: np.ndarray
    kernel: Kernel

    def middle(self, side: int, scale: int) -> Case:
        """The image's central square, ``side`` low-resolution pixels each way."""
        top, left = ((length - side) // 2 for length in self.low.shape[:2])
        low, high = (
            picture[s * top : s * (top + side), s * left : s * (left + side)]
            for picture, s in ((self.low, 1), (self.high, scale))
        )
        return self._replace(low=low, high=high)


def parser(description: str | None) -> argparse.ArgumentParser:
    """A script's options, `--json` among them; its help is the script's docstring as it stands."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", help="put the figures into this file as well")
    return made


def numbers(text: str) -> list[int]:
    """Whole numbers with commas between them."""
    return [int(number) for number in names(text)]


def names(text: str) -> list[str]:
    """Names with commas between them; none for the empty text."""
    return [name for name in text.split(",") if name]


def machine() -> dict[str, Any]:
    """What the figures were measured on, and with which versions."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    model = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cores": cores(),
        "processor": model[0] if model else platform.processor(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "git": git_sha(),
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def torch_threads(count: int) -> None:
    """Set this thread up for training, as a step of a run is, but with so many of torch's threads."""
    import torch

    prepare_torch()
    torch.set_num_threads(count)


def seconds(work: Callable[[], object], repeat: int = 1) -> float:
    """Median duration of so many calls, in seconds of the wall's clock."""
    return statistics.median(timeit.repeat(work, number=1, repeat=repeat))


def matmul_gflops(size: int = 1024) -> float:
    """The rate of a large float32 product on the CPU, as torch is set now: median of half a second's products."""
    import torch
    from torch.utils.benchmark import Timer

    a, b, out = (torch.rand(size, size) for _ in range(3))
    tensors = {"a": a, "b": b, "out": out}
    timer = Timer("torch.mm(a, b, out=out)", globals=tensors, num_threads=torch.get_num_threads())
    return 2 * size**3 / timer.blocked_autorange(min_run_time=0.5).median / 1e9


def cases(dataset: Dataset, scale: int) -> Iterator[Case]:
    """The images of a data set that has one true kernel for each."""
    for spec in dataset.plan(scale):
        kernel = true_kernel(spec, whole(spec.shape))
        assert kernel is not None
        yield Case(spec.image, load_low(spec), load_high(spec), kernel)


def sample(scale: int = 2) -> dict[str, Case]:
    """The built-in sample's images, by name."""
    with tempfile.TemporaryDirectory() as folder:
        return {case.name: case for case in cases(open_sample("sample", Store(folder)), scale)}


def mirrored(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A picture (H, W, 3) brought to another height and width: cut off, or continued by its mirror images."""
    rows, columns = (
        np.pad(np.arange(side), (0, max(0, wanted - side)), mode="symmetric")[:wanted]
        for side, wanted in zip(picture.shape, shape, strict=False)
    )
    return picture[rows][:, columns]


def degraded(high: np.ndarray, seed: int, scale: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """A photograph (H, W, 3) blurred by a kernel of DIV2KRK's law and reduced; and that kernel, (K, K)."""
    kernel = random_kernel(np.random.default_rng(seed), scale)
    return degrade(np.ascontiguousarray(high), kernel, scale), kernel


def write_data_set(folder: Path, photographs: Iterable[np.ndarray]) -> str:
    """Write photographs as a data set at x2, `im_0`, `im_1`, ..., each with a kernel of its own; returns its path."""
    store = Store(str(folder))
    for number, high in enumerate(photographs):
        low, kernel = degraded(high, number)
        for file, content in image_files(f"im_{number}", high, {2: low}, {2: {"background": kernel}}):
            store.write(file, content)
    return str(folder)


def psnr_y(image: np.ndarray, truth: np.ndarray, scale: int) -> float:
    """Luma PSNR in dB of an enlargement, cut to the size of its ground truth."""
    return scores(image[: truth.shape[0], : truth.shape[1]], truth, scale)["psnr_y"]


@contextmanager
def prefect(home: Path, database: str | None = None) -> Iterator[None]:
    """A Prefect server for the flow runs of this process, which print errors only.

    Import Prefect, and `flows`, inside the block: Prefect reads its settings then.

    Args:
        home: folder for Prefect's own files.
        database: its address; SQLite in the folder unless given.
    """
    from deployments import prefect_settings
    from tests.e2e import services

    with services.prefect_server(home, database) as api:
        os.environ |= prefect_settings.of_client(api, home) | {"PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR"}
        yield
        from prefect.logging.handlers import APILogHandler

        APILogHandler().flush()  # what is still to be sent to the server, which ends now


def save(path: str | None, section: str, content: Any) -> None:
    """Put a section into the JSON file, which keeps its other sections."""
    if path is None:
        return
    file = Path(path)
    everything = json.loads(file.read_text()) if file.exists() else {}
    everything[section] = {"machine": machine(), "result": content}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(everything, indent=1) + "\n")
