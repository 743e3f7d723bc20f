"""16 threads that start at once in a process that has imported nothing yet, each with a function that imports.

``python -m tests.faults.cold_imports SEED`` is one such process; it prints what went wrong, and ends with 1 then.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable

from tests.faults.faulty_fs import REPOSITORY

THREADS = 16


def calls() -> list[Callable[[], object]]:
    """Functions that import what they need when they are called, and no two of them the same."""
    import numpy as np

    chance = np.random.default_rng(0)
    image = np.cumsum(chance.random((48, 56, 3)).astype(np.float32), axis=0)
    image /= image.max()
    kernel = np.outer(np.hanning(11), np.hanning(11))

    def enlarge(method: str) -> object:
        from mkgan_core import super_resolve

        return super_resolve(image, method=method).image

    def estimate() -> object:
        from mkgan_core import estimate_kernels

        return estimate_kernels(image, "spectral").kernels

    def separate(name: str) -> object:
        from mkgan_core import segment

        return segment(image, name)

    def score() -> object:
        from mkgan_core.imaging.scores import scores

        return scores(image, image * 0.9, 2)

    def pair() -> object:
        import pandas as pd

        from mkgan_core.reports import statistics

        rows = [
            {"image": f"im_{n}", "method": m, "seed": 0, "scale": 2, "status": "ok", "psnr_y": 20.0 + n * (m == "b")}
            for n in range(6)
            for m in "ab"
        ]
        return statistics.paired(statistics.score_table(pd.DataFrame(rows)), "b", "a")

    def mat() -> object:
        from mkgan_core.imaging import kernel_files

        return kernel_files.decode(kernel_files.encode_mat(kernel), "kernel.mat")

    def adopt() -> object:
        from mkgan_core.imaging import kernels

        return kernels.adopt(kernel, 2)

    def degrade() -> object:
        from mkgan_core.imaging.degradation import degrade

        return degrade(image, kernel / kernel.sum(), 2)

    def law() -> object:
        from mkgan_core.datasets.kernel_laws import random_kernel

        return random_kernel(np.random.default_rng(1), 2)

    def encode(name: str) -> object:
        from mkgan_core import super_resolve

        return super_resolve(image, method="bicubic").encode(name)

    def motion() -> object:
        from mkgan_core.datasets.kernel_laws import random_motion_kernel

        return random_motion_kernel(np.random.default_rng(1), 2)

    return [
        lambda: enlarge("bicubic"),
        lambda: enlarge("bicubic+back-projection"),
        lambda: enlarge("spectral+back-projection"),
        lambda: enlarge("fft-texture/bicubic+back-projection"),
        lambda: separate("fft-texture"),
        lambda: separate("edges"),
        lambda: separate("anchors"),
        lambda: encode("png"),
        lambda: encode("tif"),
        estimate,
        score,
        pair,
        mat,
        adopt,
        degrade,
        law,
        motion,
    ]


def main(seed: int) -> int:
    """Call all at once; 1 if one of them raised."""
    chosen = calls()
    random.Random(seed).shuffle(chosen)
    start, faults = threading.Barrier(THREADS), []

    def work(call: Callable[[], object]) -> None:
        start.wait()
        try:
            call()
        except BaseException:
            faults.append(traceback.format_exc())

    threads = [threading.Thread(target=work, args=(call,)) for call in chosen[:THREADS]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for fault in faults:
        print(fault, file=sys.stderr)
    return int(bool(faults))


def fresh(seed: int) -> str | None:
    """What went wrong in a fresh process."""
    command = [sys.executable, "-m", "tests.faults.cold_imports", str(seed)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
    return done.stderr[-1500:] if done.returncode else None


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
