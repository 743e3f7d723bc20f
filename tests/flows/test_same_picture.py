"""A person's photograph and the nightly benchmark go the same way: `mkgan upscale` and a benchmark of one image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlparse

import numpy as np
import pytest
from PIL import Image
from typing_extensions import override

from flows.benchmark import benchmark
from flows.config import BenchmarkConfig
from flows.names import run_id
from mkgan_core.errors import KernelError
from mkgan_core.estimators.base import Context, Estimator
from mkgan_core.imaging.images import Image as Pixels
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.part import NoSettings
from mkgan_core.pipeline import parts
from mkgan_core.reports.runs import Run, open_run
from mkgan_core.upscalers.zssr import settings as zssr


@pytest.fixture
def stubborn(own_parts: None) -> str:
    """The name of an estimator that refuses on purpose, whatever the seed."""

    class Stubborn(Estimator[NoSettings]):
        seeded = True

        @override
        def estimate(self, image: Pixels, region: Region, scale: int, context: Context) -> Kernel:
            raise KernelError(f"stubborn about {region.name} with seed {context.seed}")

    parts.register("stubborn")(Stubborn)
    return "stubborn"


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """ZSSR with a few steps."""
    monkeypatch.setitem(zssr.PRESETS, "fast", replace(zssr.FAST, iterations=10))


def benchmarked(folder: Path, store: Path, method: str, seed: int) -> Run:
    config = BenchmarkConfig(
        dataset=str(folder), methods=[method], images=["im_1"], seed=seed, store=store.as_uri(), device="cpu"
    )
    state = benchmark(config, return_state=True)
    return open_run(run_id(config, str(state.state_details.flow_run_id)), config.store)


def bytes_of(uri: str) -> bytes:
    return Path(unquote(urlparse(uri).path)).read_bytes()


@pytest.mark.parametrize("method", ["bicubic", "spectral+back-projection", "auto+zssr"])
def test_one_region(mkgan, dataset_folder: Path, tmp_path: Path, brief: None, method: str) -> None:
    run = benchmarked(dataset_folder, tmp_path / "store", method, seed=4)
    photo = str(dataset_folder / "lr_x2" / "im_1.png")
    code, _, _ = mkgan("upscale", photo, "--method", method, "--seed", "4", "--out", str(tmp_path / "out"))
    assert code == 0
    assert (tmp_path / "out" / "im_1_x2.png").read_bytes() == bytes_of(run.rows["output_uri"].iloc[0])


def test_two_regions_whose_kernel_is_refused(
    mkgan, dataset_folder: Path, tmp_path: Path, brief: None, stubborn: str
) -> None:
    """Second seed, the whole image's kernel, the bicubic one: the same for both, and both say so."""
    run = benchmarked(dataset_folder, tmp_path / "store", f"given/{stubborn}+zssr", seed=2)
    assert list(run.rows["status"]) == ["ok"]
    assert set(run.regions["region"]) == {"object", "background"}
    assert set(run.regions["attempts"]) == {2}
    mask = np.asarray(Image.open(dataset_folder / "masks" / "img1" / "obj_hr_mask.png"))[::2, ::2]
    Image.fromarray(mask).save(tmp_path / "mask.png")
    code, out, _ = mkgan(
        "upscale",
        str(dataset_folder / "lr_x2" / "im_1.png"),
        *("--method", f"{stubborn}+zssr", "--mask", str(tmp_path / "mask.png")),
        *("--seed", "2", "--out", str(tmp_path / "out")),
    )
    assert code == 0
    assert (tmp_path / "out" / "im_1_x2.png").read_bytes() == bytes_of(run.rows["output_uri"].iloc[0])
    for region, said in zip(run.regions["region"], run.regions["fallback"], strict=True):
        assert said.startswith(f"stubborn about {region} with seed 1002;")
        assert said in out
