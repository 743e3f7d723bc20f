"""KernelGAN: how many of 32 trainings take off, alone and in a batch, and how good their kernels are.

.venv/bin/python -m tests.benchmarks.take_off DIV2KRK [--preset paper] [--only alone] [--json FILE]
DIV2KRK is a data set with im_13 and im_96. Alone: 8 seeds of each of the two, 2 of each of the sample's four images;
in a batch: 8 seeds of im_13. One thread; half an hour with the preset paper.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

from mkgan_core.datasets.layout import Dataset
from mkgan_core.errors import KernelError
from mkgan_core.estimators.kernelgan.estimator import post_process
from mkgan_core.estimators.kernelgan.problem import Problem, problem
from mkgan_core.estimators.kernelgan.settings import PRESETS, KernelGanSettings
from mkgan_core.estimators.kernelgan.training import train
from mkgan_core.imaging import kernels
from mkgan_core.imaging.regions import whole
from tests.benchmarks import common

SEEDS = range(8)


def trainings(div2krk: str) -> list[tuple[str, list[tuple[common.Case, int]]]]:
    """What is trained together: a name, and images with seeds."""
    whole_images = {case.name: case for case in common.cases(Dataset(div2krk), 2) if case.name in ("im_13", "im_96")}
    alone = [(case, seed) for case in whole_images.values() for seed in SEEDS]
    alone += [(case, seed) for case in common.sample().values() for seed in (0, 1)]
    together = [(whole_images["im_13"], seed) for seed in SEEDS]
    return [*(("alone", [one]) for one in alone), ("batch", together)]


def prepared(case: common.Case, seed: int, settings: KernelGanSettings) -> Problem:
    return problem(case.low, whole(case.low.shape[:2]), seed, settings)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("div2krk")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--only", choices=("alone", "batch"))
    options = parser.parse_args()
    settings = PRESETS[options.preset]
    common.torch_threads(1)
    rows: list[dict[str, Any]] = []
    for name, batch in trainings(options.div2krk):
        if options.only not in (None, name):
            continue
        found = train([prepared(case, seed, settings) for case, seed in batch], settings)
        for (case, seed), raw in zip(batch, found, strict=True):
            row: dict[str, Any] = {"how": name, "image": case.name, "seed": seed, "sum": float(raw.sum()), "psnr": None}
            try:
                kernel = kernels.centre(post_process(raw), 2)
                row["psnr"] = kernels.kernel_psnr(kernel, case.kernel.array, 2)
            except KernelError:
                pass
            rows.append(row)
            psnr = "not converged" if row["psnr"] is None else f"{row['psnr']:.2f} dB"
            print(f"{case.name} seed {seed} {name}: sum {row['sum']:.3f}, {psnr}", flush=True)
    psnrs = [row["psnr"] for row in rows if row["psnr"] is not None]
    print(f"{len(psnrs)} of {len(rows)} took off; their kernels: {fmean(psnrs):.2f} dB on average")
    common.save(options.json, "take_off", rows)


if __name__ == "__main__":
    main()
