"""The same seed on one machine gives the same bits; by how much do threads and company in a batch change a result?

``python -m tests.faults.determinism THREADS FOLDER`` is one process: it writes what it made to a file.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.faults.faulty_fs import REPOSITORY
from tests.faults.tally import Tally

ITERATIONS = 120  # of KernelGAN; the spread grows with them
COMPANY = (1, 2, 4)  # sizes of batches


def process(threads: int, folder: Path) -> None:
    """Enlarge by `spectral+zssr`, train KernelGAN in batches of several sizes; write the arrays."""
    import torch

    from mkgan_core.machine import cores

    prepare = cores.prepare_torch

    def with_threads() -> None:
        prepare()
        torch.set_num_threads(threads)

    cores.prepare_torch = with_threads  # before those are imported that take it from there
    from mkgan_core import super_resolve
    from mkgan_core.estimators.kernelgan.problem import problem
    from mkgan_core.estimators.kernelgan.settings import PRESETS
    from mkgan_core.estimators.kernelgan.training import train
    from mkgan_core.imaging.regions import whole
    from tests.pictures import picture

    image = picture(0)[:64, :72]
    made = {"zssr": super_resolve(image, method="spectral+zssr", seed=3).image}
    with_threads()
    settings = replace(PRESETS["fast"], iterations=ITERATIONS)
    big = picture(0)
    for size in COMPANY:
        rolled = [np.roll(big, 9 * number, axis=1) for number in range(size)]
        kernels = train([problem(one, whole(one.shape[:2]), 0, settings) for one in rolled], settings)
        made[f"kernelgan-{size}"] = kernels[0]
        made[f"kernelgan-{size}-all"] = np.stack(kernels)
    np.savez(folder / "made.npz", **made)


def _decibels(a: np.ndarray, b: np.ndarray, peak: float) -> float:
    error = float(np.mean((a.astype(float) - b.astype(float)) ** 2))
    return round(10 * float(np.log10(peak**2 / error)), 1) if error else float("inf")


def compare(folder: Path, tally: Tally) -> None:
    """Run twice with 1 thread, twice with 2; equal settings must give equal bits."""
    made: dict[str, dict[str, Any]] = {}
    for name in ("1a", "1b", "2a", "2b"):
        at = folder / name
        at.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "tests.faults.determinism", name[0], str(at)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
        if done.returncode:
            tally.fault("a process failed", done.stderr[-800:])
            return
        made[name] = dict(np.load(at / "made.npz"))
    for threads in "12":
        for what, first in made[f"{threads}a"].items():
            same = np.array_equal(first, made[f"{threads}b"][what])
            tally.count("pairs of processes with equal settings")
            tally.count("of them with the same bits", same)
            if not same:
                tally.fault("other bits", f"{what}, {threads} threads, two processes")
    one, two = made["1a"], made["2a"]
    spread = {
        "zssr, 1 and 2 threads": _decibels(one["zssr"], two["zssr"], float(one["zssr"].max())),
        "kernelgan, 1 and 2 threads": _decibels(
            one["kernelgan-1"], two["kernelgan-1"], float(one["kernelgan-1"].max())
        ),
    }
    for size in COMPANY[1:]:
        what = f"kernelgan, alone and in a batch of {size}"
        spread[what] = _decibels(one["kernelgan-1"], one[f"kernelgan-{size}"], float(one["kernelgan-1"].max()))
    for what, value in spread.items():
        tally.set(f"PSNR in dB: {what}", value if np.isfinite(value) else "the same bits")


if __name__ == "__main__":
    process(int(sys.argv[1]), Path(sys.argv[2]))
