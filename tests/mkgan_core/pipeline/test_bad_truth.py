"""A true kernel that is none costs its own score and the methods that use it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mkgan_core.datasets.layout import Dataset
from mkgan_core.imaging import kernel_files
from mkgan_core.pipeline import jobs, walk
from mkgan_core.pipeline.method import parse
from mkgan_core.pipeline.steps.describe import DescribeJob
from mkgan_core.pipeline.walk import Common

BAD = {
    "one value": np.ones((1, 1)),
    "almost no sum": np.array([[1e-6, 1, 1], [-1, 0, 1], [-1, -1, 0]]),
}


@pytest.mark.parametrize("what", BAD)
def test_what_a_bad_true_kernel_costs(dataset_folder: Path, common: Common, what: str) -> None:
    for region in ("", "_obj"):
        file = dataset_folder / "gt_k_x2" / f"kernel_1{region}.mat"
        file.write_bytes(kernel_files.encode_mat(BAD[what]))
    (spec,) = Dataset(str(dataset_folder)).plan(2, ["im_1"])
    blind = walk.run(walk.enlarge(spec, parse("given/bicubic+back-projection"), 0, common))
    assert blind.error is None
    assert blind.composed
    assert blind.composed["kernel_psnr"] == [None, None]
    assert blind.composed["psnr_y"] > 20
    informed = walk.run(walk.enlarge(spec, parse("ground-truth+back-projection"), 0, common))
    assert "kernel_1" in str(informed.error)
    assert ".mat" in str(informed.error)
    assert "\n" not in str(informed.error)
    described = jobs.run(DescribeJob(spec, **common))
    assert described["blur_difference"] is None
    assert described["texture"] > 0
