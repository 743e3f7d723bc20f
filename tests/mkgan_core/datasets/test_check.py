from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import convolve, shift

from mkgan_core.datasets import kernel_laws
from mkgan_core.datasets.check import check
from mkgan_core.datasets.layout import Dataset
from mkgan_core.datasets.maker import DatasetMaker, Law
from mkgan_core.datasets.true_kernels import true_kernel
from mkgan_core.errors import DatasetError
from mkgan_core.imaging import degradation, images, kernel_files, kernels
from mkgan_core.imaging.regions import whole
from mkgan_core.machine.storage import Store


def crooked(scale: int) -> np.ndarray:
    """A kernel without symmetry, so that turning it matters; in our convention, well inside its support."""
    size = 15 if scale == 2 else 31
    clean = kernels.gaussian(np.diag([1.5, 2.5]), size, 1) + 0.4 * shift(
        kernels.gaussian(1.5 * np.eye(2), size, 1), (2.5, 1)
    )
    return kernels.centre(clean, scale)


def moved(kernel: np.ndarray, offset: float) -> np.ndarray:
    return kernels.normalise(shift(kernel, (offset, offset), order=3))


STORED = {  # how method.md §1's conventions store the kernel of the same degradation
    "mkgan": lambda k, s: k,
    "unshifted": lambda k, s: moved(k, -(s - 1) / 2),
    "half-pixel": lambda k, s: moved(k, 0.5),
    "opposite": lambda k, s: k[::-1, ::-1],
}


@pytest.fixture
def photograph(picture: np.ndarray) -> np.ndarray:
    """Without the finest grain, which no kernel of any convention passes on."""
    return np.concatenate([picture, picture[::-1]])


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("name", STORED)
def test_each_convention_is_told_and_converted(name: str, scale: int, tmp_path: Path, photograph: np.ndarray) -> None:
    """The same images with the kernel stored by each convention: all are read as the same kernel."""
    kernel = crooked(scale)
    store = Store(str(tmp_path))
    low = degradation.degrade(photograph, kernel, scale)
    if name == "opposite":  # what FKP and USRNet do, by scipy: convolve, keep the top-left sample
        stored = STORED[name](kernel, scale)
        theirs = np.stack([convolve(photograph[..., c], stored, mode="mirror") for c in range(3)], axis=2)
        assert np.abs(theirs[::scale, ::scale] - low).max() < 1e-5
    store.write("gt/im_1.png", images.encode_png(photograph))
    store.write(f"lr_x{scale}/im_1.png", images.encode_png(low))
    store.write(f"gt_k_x{scale}/kernel_1.mat", kernel_files.encode_mat(STORED[name](kernel, scale)))
    (spec,) = Dataset(str(tmp_path)).plan(scale)
    truth = true_kernel(spec, whole(spec.shape))
    assert truth is not None
    assert np.abs(truth.array - kernel).max() < 0.03 * kernel.max()
    (found,) = check(str(tmp_path))
    assert found.convention == name
    assert found.problem is None
    assert found.regeneration is not None
    assert found.regeneration > (55 if name in ("mkgan", "opposite") else 48)


def test_our_own_kernels_are_kept_to_the_last_bit() -> None:
    for seed in range(50):
        for scale in (2, 4):
            kernel = kernel_laws.random_kernel(np.random.default_rng(seed), scale)
            assert kernels.convention(kernel, scale) == "mkgan"
            assert np.allclose(kernels.adopt(kernel, scale), kernel, atol=1e-15)


def test_div2krk_is_stored_unshifted(div2krk: Path) -> None:
    found = list(check(str(div2krk), [2]))
    assert len(found) == 12
    assert {f.convention for f in found} == {"unshifted"}
    assert {f.problem for f in found} == {None}
    assert all(f.alpha for f in found)
    assert min(f.regeneration or 0 for f in found) == pytest.approx(42.38, abs=0.01)  # method.md §1


def test_kernels_of_no_convention_are_centred() -> None:
    odd = np.roll(kernels.gaussian(np.eye(2), 15, 2), (3, -2), (0, 1))
    assert kernels.convention(odd, 2) is None
    assert kernels.convention(kernels.adopt(odd, 2), 2) == "mkgan"
    assert kernels.convention(kernels.adopt(kernels.gaussian(np.eye(2), 14, 1), 2), 2) == "mkgan"


def test_every_fault_is_found_and_none_hides_another(tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    for number in range(1, 7):
        grain = np.random.default_rng(number).uniform(0, 1, (96, 80, 3)).astype(np.float32)
        Store(str(folder)).write(f"im_{number}.png", images.encode_png(grain))
    out = tmp_path / "made"
    DatasetMaker(str(folder), str(out), Law("div2krk", (2,))).make()
    (out / "gt" / "im_1.png").unlink()
    Image.new("RGB", (20, 20)).save(out / "lr_x2" / "im_2.png")
    (out / "gt_k_x2" / "kernel_3.mat").unlink()
    (out / "gt_k_x2" / "kernel_4.mat").write_bytes((out / "gt_k_x2" / "kernel_5.mat").read_bytes())
    (out / "lr_x2" / "im_6.png").unlink()
    found = {finding.image: finding for finding in check(str(out))}
    assert "im_1" in str(found["im_1"].problem)
    assert "20x20" in str(found["im_2"].problem)
    assert found["im_3"].problem is None
    assert found["im_3"].regeneration is None
    assert "kernel_4.mat" in str(found["im_4"].problem)
    assert found["im_5"].problem is None
    assert "gt/im_6.png" in str(found["im_6"].problem)
    (out / "manifest.json").unlink()  # without its word, the pixels tell
    (wrong,) = (f for f in check(str(out)) if f.image == "im_4")
    assert f"{wrong.regeneration:.1f} dB" in str(wrong.problem)


def test_a_shifted_image_is_told(tmp_path: Path) -> None:
    """Degraded with the unshifted kernel as it lies there: half a pixel off, and said so."""
    store = Store(str(tmp_path))
    photograph = np.random.default_rng(0).uniform(0, 1, (96, 80, 3)).astype(np.float32)
    kernel = moved(crooked(2), -0.5)
    store.write("gt/im_1.png", images.encode_png(photograph))
    store.write("lr_x2/im_1.png", images.encode_png(degradation.degrade(photograph, kernel, 2)))
    store.write("gt_k_x2/kernel_1.mat", kernel_files.encode_mat(kernel))
    (found,) = check(str(tmp_path))
    assert "stored" in str(found.problem)
    assert "180" not in str(found.problem)


def test_nothing_to_check(tmp_path: Path) -> None:
    (tmp_path / "gt").mkdir()
    with pytest.raises(DatasetError, match="neither lr_x2 nor lr_x4"):
        list(check(str(tmp_path)))
