"""The Python door: what goes in comes out of the same kind, larger; bad input is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat

import mkgan_core
from mkgan_core import estimate_kernel, estimate_kernels, list_methods, segment, super_resolve
from mkgan_core.errors import ConfigError, DatasetError, KernelError, MkganError, RegionError, WeightsError
from mkgan_core.imaging import kernels
from mkgan_core.imaging.images import to_uint8
from mkgan_core.imaging.regions import whole
from mkgan_core.pipeline.method import parse
from mkgan_core.upscalers.interpolation import Bicubic

METHOD = "bicubic+back-projection"


@pytest.fixture
def pixels(picture: np.ndarray) -> np.ndarray:
    return to_uint8(picture)


@pytest.fixture
def file(pixels: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


def test_every_kind_gives_the_same_picture(pixels: np.ndarray, file: Path) -> None:
    expected = super_resolve(pixels, method=METHOD).image
    assert expected.shape == (192, 240, 3)
    assert expected.dtype == np.uint8
    for image in (file, str(file), Image.open(file)):
        large = super_resolve(image, method=METHOD).image
        assert isinstance(large, Image.Image)
        assert np.array_equal(np.asarray(large), expected)
    for kind in (np.float32, np.float64):
        large = super_resolve((pixels / 255).astype(kind), method=METHOD).image
        assert large.dtype == kind
        assert np.array_equal(to_uint8(large), expected)
        assert large.max() <= 1


@pytest.mark.parametrize("scale", [2, 4])
def test_grey_and_alpha_stay(pixels: np.ndarray, scale: int) -> None:
    grey = pixels[..., 0]
    large = super_resolve(grey, scale, "bicubic").image
    assert large.shape == (96 * scale, 120 * scale)
    whole_grey = np.repeat(grey[..., None] / np.float32(255), 3, axis=2)
    plain = Bicubic().upscale(whole_grey, whole(grey.shape), None, scale)
    assert np.abs(large.astype(int) - to_uint8(plain)[..., 0]).max() <= 1
    assert super_resolve(Image.fromarray(grey), scale, "bicubic").image.mode == "L"
    assert super_resolve(grey[..., None], scale, "bicubic").image.shape == (96 * scale, 120 * scale, 1)
    opaque = np.full_like(grey, 200)
    large = super_resolve(np.dstack([pixels, opaque]), scale, "bicubic").image
    assert large.shape == (96 * scale, 120 * scale, 4)
    assert (large[..., 3] == 200).all()
    assert np.array_equal(large[..., :3], super_resolve(pixels, scale, "bicubic").image)
    translucent = super_resolve(Image.fromarray(np.dstack([pixels, opaque])), scale, "bicubic").image
    assert translucent.mode == "RGBA"
    assert np.array_equal(np.asarray(translucent), large)


@pytest.mark.parametrize("channels", [None, 1, 4])
def test_floats_keep_their_form(pixels: np.ndarray, channels: int | None) -> None:
    given = pixels.astype(np.float64) / 255
    given = given[..., 0] if channels is None else np.dstack([given, given[..., :1]])[..., :channels]
    large = super_resolve(given, method="bicubic").image
    assert large.dtype == np.float64
    assert large.shape == (192, 240, *given.shape[2:])
    assert large.min() >= 0 and large.max() <= 1
    assert np.abs(large[::2, ::2] - given).mean() < 0.1  # of the right range


def test_what_happened_is_told(picture: np.ndarray) -> None:
    result = super_resolve(picture, method=METHOD)
    assert [region.name for region in result.regions] == ["whole"]
    assert result.kernels[0] is not None
    assert result.notes == ()
    flat = super_resolve(np.full((64, 64, 3), 0.5), method="spectral+back-projection")
    assert "whole" in flat.notes[0]
    assert flat.kernels[0] is not None
    assert flat.kernels[0].note == flat.notes[0]
    assert np.allclose(flat.kernels[0].array, kernels.bicubic(2))
    assert super_resolve(picture, method="bicubic").kernels == (None,)


def test_masks_make_regions(picture: np.ndarray, tmp_path: Path) -> None:
    mask = np.zeros((96, 120), bool)
    mask[:, 50:] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    results = [super_resolve(picture, method=METHOD, masks=[given]) for given in (mask, tmp_path / "mask.png")]
    for result in results:
        assert [(region.name, region.area) for region in result.regions] == [("object", 6720), ("background", 4800)]
        assert len(result.kernels) == 2
    assert np.array_equal(results[0].image, results[1].image)
    found = estimate_kernels(picture, "bicubic", masks=[mask])
    assert [region.name for region in found.regions] == ["object", "background"]
    assert len(found.kernels) == 2
    assert [region.area for region in segment(picture, "mask", masks=[mask]).regions] == [6720, 4800]


def test_a_kernel_is_found_and_saved(picture: np.ndarray, tmp_path: Path) -> None:
    kernel = estimate_kernel(picture, "bicubic", scale=4)
    assert kernel.note is None
    assert kernel.array.sum() == pytest.approx(1)
    assert np.allclose(kernels.centre_of_mass(kernel.array), kernels.target_centre(len(kernel.array), 4))
    kernel.save(tmp_path / "kernel.npy")
    kernel.save(str(tmp_path / "kernel.mat"))
    assert np.array_equal(np.load(tmp_path / "kernel.npy"), kernel.array)
    assert np.array_equal(loadmat(tmp_path / "kernel.mat")["Kernel"], kernel.array)
    with pytest.raises(KernelError, match=r"kernel\.txt"):
        kernel.save(tmp_path / "kernel.txt")


def test_a_kernel_that_was_replaced_says_so() -> None:
    kernel = estimate_kernel(np.full((64, 64, 3), 0.5), "spectral")
    assert "'whole'" in str(kernel.note)
    assert np.allclose(kernel.array, kernels.bicubic(2))


def test_segmentation(picture: np.ndarray) -> None:
    found = segment(picture, "whole")
    assert [region.name for region in found.regions] == ["whole"]
    assert found.note is None
    assert segment(picture).regions  # auto


def test_methods_have_names() -> None:
    for name in list_methods():
        assert parse(name).name == name
    assert "auto+zssr" in list_methods()
    assert set(mkgan_core.__all__) >= {"super_resolve", "estimate_kernel", "segment", "list_methods", "Method"}


def replaced(array: np.ndarray, value: float) -> np.ndarray:
    array = array.astype(float)
    array[0, 0, 0] = value
    return array


@pytest.mark.parametrize(
    ("change", "fault", "datum"),
    [
        ({"image": replaced(np.zeros((64, 64, 3)), np.nan)}, DatasetError, "nan"),
        ({"image": np.full((64, 64, 3), 200.0)}, DatasetError, "200"),
        ({"image": np.zeros((64, 64, 3), np.int32)}, DatasetError, "int32"),
        ({"image": np.zeros((64, 64, 5), np.uint8)}, DatasetError, r"64, 64, 5"),
        ({"image": np.zeros((0, 64, 3), np.uint8)}, DatasetError, r"0, 64, 3"),
        ({"image": np.zeros((20, 30, 3), np.uint8), "method": "bicubic+zssr"}, DatasetError, "30x20"),
        ({"image": "nowhere/photo.png"}, MkganError, "photo.png"),
        ({"method": "zzsr"}, ConfigError, "zzsr"),
        ({"method": "ground-truth+zssr"}, ConfigError, "ground-truth"),
        ({"method": "given/bicubic+zssr"}, ConfigError, "--mask"),
        ({"method": "bicubic", "real": True}, ConfigError, "bicubic"),
        ({"per_object": True}, ConfigError, "whole"),
        ({"scale": 3}, ConfigError, "3"),
        ({"preset": "slow"}, ConfigError, "slow"),
        ({"masks": [np.zeros((9, 9), bool)]}, RegionError, r"9, 9"),
        ({"masks": [np.zeros((9, 9, 3), bool)]}, RegionError, r"9, 9, 3"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], fault: type[Exception], datum: str) -> None:
    given: dict[str, Any] = {"image": np.zeros((64, 64, 3), np.uint8), "method": METHOD, **change}
    with pytest.raises(fault, match=datum):
        super_resolve(given.pop("image"), **given)


@pytest.mark.parametrize(
    ("call", "fault", "datum"),
    [
        (lambda image: estimate_kernel(image, "kernelgann"), ConfigError, "kernelgann"),
        (lambda image: estimate_kernel(image, "ground-truth"), ConfigError, "ground-truth"),
        (lambda image: estimate_kernel(image, scale=3), ConfigError, "3"),
        (lambda image: estimate_kernel(image, preset="slow"), ConfigError, "slow"),
        (lambda image: estimate_kernel(image[:40], "kernelgan"), DatasetError, "64x40"),
        (lambda image: estimate_kernels(image, "bicubic", masks=[np.zeros((9, 9), bool)]), RegionError, r"9, 9"),
        (lambda image: segment(image, "edgs"), ConfigError, "edgs"),
        (lambda image: segment(image, "mask"), ConfigError, "--mask"),
        (lambda image: segment(image, "edges", masks=[image[..., 0] > 0]), ConfigError, "--mask"),
        (lambda image: segment(image, "yolo"), WeightsError, r"yolov8n\.pt"),
    ],
)
def test_the_other_doors_name_it_too(call: Callable[[np.ndarray], Any], fault: type[Exception], datum: str) -> None:
    with pytest.raises(fault, match=datum):
        call(np.zeros((64, 64, 3), np.uint8))


def test_nothing_stays_in_memory(picture: np.ndarray) -> None:
    import fsspec

    memory = fsspec.filesystem("memory")
    before = set(memory.store)
    super_resolve(picture, method=METHOD)
    with pytest.raises(ConfigError):
        super_resolve(picture, method="given/bicubic+zssr")
    assert set(memory.store) == before
