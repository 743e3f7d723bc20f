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
from mkgan_core.imaging.encoders import encode
from mkgan_core.imaging.images import to_pixels, to_uint8
from mkgan_core.imaging.pictures import Picture, read
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
        assert np.abs(to_uint8(large).astype(int) - expected).max() <= 1  # rounded once to 16 bits before
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
    assert len(flat.notes) == 1
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
    alone = super_resolve(picture, method="yolo-seg-objects/bicubic+bicubic", masks=mask)  # replaces the segmenter
    assert [region.name for region in alone.regions] == ["object", "background"]
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
    assert kernel.note is not None
    assert np.allclose(kernel.array, kernels.bicubic(2))


def test_segmentation(picture: np.ndarray) -> None:
    found = segment(picture, "whole")
    assert [region.name for region in found.regions] == ["whole"]
    assert found.note is None
    assert segment(picture).regions  # auto


@pytest.mark.parametrize(
    ("shape", "method", "notes"),
    [
        ((1, 1), "auto+zssr", 1),
        ((1, 60), "auto+zssr", 1),
        ((9, 12), "auto+zssr", 2),
        ((31, 200), "bicubic+zssr", 1),
        ((40, 50), "spectral+back-projection", 1),
        ((63, 99), "kernelgan+back-projection", 1),
    ],
)
@pytest.mark.parametrize("scale", [2, 4])
def test_small_images_get_the_next_best(shape: tuple[int, int], method: str, notes: int, scale: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    result = super_resolve(pixels, scale, method)
    assert result.image.shape == (scale * shape[0], scale * shape[1], 3)
    assert len(result.notes) == notes
    assert np.abs(result.image.mean(axis=(0, 1)) - pixels.mean(axis=(0, 1))).max() < 6  # noise; the border counts more


@pytest.mark.parametrize("value", [0, 128, 255])
def test_flat_images(value: int) -> None:
    for shape in ((64, 64, 3), (64, 64), (64, 64, 4)):
        result = super_resolve(np.full(shape, value, np.uint8), method="auto+back-projection")
        assert (result.image == value).all()
        assert "bicubic" in result.summary


@pytest.mark.parametrize("method", ["bicubic", METHOD])
def test_the_colours_are_those_of_bicubic(picture: np.ndarray, method: str) -> None:
    for image in (picture, to_uint8(picture), to_pixels(picture, 16), to_pixels(picture[..., 0], 16)):
        result, plain = super_resolve(image, method=method), super_resolve(image, method="bicubic")
        peak = 1 if image.dtype == np.float32 else np.iinfo(image.dtype).max
        means = [np.atleast_1d(made.image.mean(axis=(0, 1)) / peak) for made in (result, plain)]
        assert np.abs(means[0] - means[1]).max() < 1 / 255
        assert np.abs(means[0] - np.atleast_1d(image.mean(axis=(0, 1)) / peak)).max() < 1 / 255


def test_a_gradient_of_16_bits_stays_one() -> None:
    ramp = np.linspace(20_000, 22_000, 64 * 80).reshape(64, 80).astype(np.uint16)
    for image in (ramp, np.dstack([ramp] * 3), ramp / np.float32(65535)):
        made = super_resolve(image, method=METHOD).image
        assert made.dtype == image.dtype
        assert len(np.unique(made)) > 1000


def test_files_of_16_bits(tmp_path: Path, picture: np.ndarray) -> None:
    deep = to_pixels(picture, 16)
    for name in ("deep.png", "deep.tif"):
        (tmp_path / name).write_bytes(encode(Picture(deep), "png" if name.endswith("png") else "tif"))
        result = super_resolve(tmp_path / name, method=METHOD)
        assert np.array_equal(result.image, super_resolve(deep, method=METHOD).image)
        for ending in ("png", "tiff"):
            result.save(tmp_path / f"large.{ending}")
            assert np.array_equal(pixels_of(tmp_path / f"large.{ending}"), result.image)
    Image.fromarray(deep[..., 0]).save(tmp_path / "grey.png")
    large = super_resolve(tmp_path / "grey.png", method=METHOD).image
    assert large.mode == "I;16"
    assert abs(np.asarray(large).mean() - deep[..., 0].mean()) < 257


def pixels_of(path: Path) -> np.ndarray:
    """A file's pixels, as they are."""
    return read(path.read_bytes(), path.name).pixels


@pytest.mark.parametrize("method", ["bicubic", METHOD])
def test_transparency_leaves_no_fringe(method: str) -> None:
    y, x = np.mgrid[:64, :64]
    alpha = np.round(255 * np.clip(20 - np.hypot(x - 32, y - 32), 0, 1))
    image = np.dstack([np.full((64, 64, 3), 240), alpha]).astype(np.uint8)
    image[alpha == 0] = 0
    large = super_resolve(image, method=method).image
    visible = large[..., 3] > 0
    assert np.abs(large[visible][:, :3].astype(int) - 240).max() <= 1
    assert abs(large[..., 3].mean() - alpha.mean()) < 1


def test_what_is_saved_is_what_is_seen(file: Path, tmp_path: Path) -> None:
    result = super_resolve(file, method=METHOD)
    result.save(tmp_path / "large.png")
    assert np.array_equal(pixels_of(tmp_path / "large.png"), np.asarray(result.image))
    assert result.encode("png") == (tmp_path / "large.png").read_bytes()
    result.save(str(tmp_path / "large.JPG"), quality=80)
    with Image.open(tmp_path / "large.JPG") as jpeg:
        assert (jpeg.format, jpeg.size) == ("JPEG", (240, 192))
    with pytest.raises(ConfigError, match=r"large\.gif"):
        result.save(tmp_path / "large.gif")


def test_the_summary(picture: np.ndarray) -> None:
    assert "bicubic" in super_resolve(picture, method=METHOD).summary
    mask = np.zeros((96, 120), bool)
    mask[:, 50:] = True
    regions = super_resolve(picture, method=METHOD, masks=[mask]).summary
    assert "object" in regions and "background" in regions
    assert "px" not in super_resolve(picture, method="bicubic").summary
    flat = super_resolve(np.full((64, 64, 3), 0.5), method="spectral+back-projection")
    assert flat.notes[0] in flat.summary


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
        ({"image": replaced(np.zeros((64, 64, 3)), np.nan)}, DatasetError, "NaN"),
        ({"image": np.full((64, 64, 3), 200.0)}, DatasetError, "200"),
        ({"image": np.zeros((64, 64, 3), np.int32)}, DatasetError, "int32"),
        ({"image": np.zeros((64, 64, 5), np.uint8)}, DatasetError, r"64, 64, 5"),
        ({"image": np.zeros((0, 64, 3), np.uint8)}, DatasetError, r"0, 64, 3"),
        ({"image": np.zeros((0, 0), np.uint8)}, DatasetError, r"0, 0"),
        ({"image": "nowhere/photo.png"}, MkganError, "photo.png"),
        ({"image": None}, DatasetError, "NoneType"),
        ({"method": "zzsr"}, ConfigError, "zzsr"),
        ({"method": None}, ConfigError, "None"),
        ({"method": "ground-truth+zssr"}, ConfigError, "ground-truth"),
        ({"method": "given/bicubic+zssr"}, ConfigError, "--mask"),
        ({"method": "bicubic", "real": True}, ConfigError, "bicubic"),
        ({"per_object": True}, ConfigError, "whole"),
        ({"scale": 3}, ConfigError, "3"),
        ({"preset": "slow"}, ConfigError, "slow"),
        ({"masks": [np.zeros((9, 9), bool)]}, RegionError, r"9, 9"),
        ({"masks": np.zeros((9, 9), bool)}, RegionError, r"9, 9"),
        ({"masks": "nowhere/mask.png"}, MkganError, "mask.png"),
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
