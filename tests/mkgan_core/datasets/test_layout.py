from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mkgan_core.datasets.layout import Dataset, given_masks, load_high, load_low, true_kernel
from mkgan_core.datasets.sample import NAMES, open_sample
from mkgan_core.errors import DatasetError, KernelError
from mkgan_core.imaging import images
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.machine.storage import Store


def test_a_plan_describes_the_images(dataset_folder: Path) -> None:
    dataset = Dataset(str(dataset_folder))
    assert dataset.ids(2) == ["im_1", "im_2"]
    specs = dataset.plan(2)
    assert [s.image for s in specs] == ["im_1", "im_2"]
    assert specs[0].shape == (96, 120)
    assert specs[0].dataset == "tiny"
    assert load_low(specs[0]).shape == (96, 120, 3)
    assert given_masks(specs[0])["object"].shape == (96, 120)
    assert [s.image for s in dataset.plan(2, ["im_2"])] == ["im_2"]
    assert [s.image for s in dataset.plan(2, limit=1)] == ["im_1"]


def test_any_fsspec_url(dataset_folder: Path) -> None:
    memory = Store("memory://somewhere/tiny")
    for path in dataset_folder.rglob("*.*"):
        memory.write(str(path.relative_to(dataset_folder)), path.read_bytes())
    specs = Dataset("memory://somewhere/tiny").plan(2)
    assert np.array_equal(load_low(specs[1]), load_low(Dataset(str(dataset_folder)).plan(2)[1]))


def test_alpha_is_dropped(tmp_path: Path) -> None:
    rgba = np.random.default_rng(0).integers(0, 255, (8, 8, 4), dtype=np.uint8)
    Image.fromarray(rgba, "RGBA").save(tmp_path / "a.png")
    assert np.array_equal(images.to_uint8(images.decode((tmp_path / "a.png").read_bytes(), "a")), rgba[..., :3])


def test_the_header_and_the_pixels_agree_on_turned_photographs() -> None:
    import io

    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20)).save(out, "JPEG", exif=exif)
    assert images.picture_size(out.getvalue(), "x") == images.decode(out.getvalue(), "x").shape[:2] == (30, 20)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere"):
        Dataset(str(tmp_path / "nowhere"))


def test_no_images(tmp_path: Path) -> None:
    (tmp_path / "lr_x2").mkdir()
    (tmp_path / "lr_x2" / "notes.txt").write_text("nothing")
    with pytest.raises(DatasetError, match="lr_x2"):
        Dataset(str(tmp_path)).plan(2)


def test_a_file_that_is_no_image(dataset_folder: Path) -> None:
    (dataset_folder / "lr_x2" / "im_1.png").write_bytes(b"not a picture")
    with pytest.raises(DatasetError, match=r"im_1\.png"):
        Dataset(str(dataset_folder)).plan(2)


def test_sizes_that_do_not_fit(dataset_folder: Path) -> None:
    Image.new("RGB", (100, 100)).save(dataset_folder / "lr_x2" / "im_2.png")
    with pytest.raises(DatasetError, match=r"240x192.*100x100"):
        Dataset(str(dataset_folder)).plan(2)


def test_missing_truth(dataset_folder: Path) -> None:
    (dataset_folder / "gt" / "im_2.png").unlink()
    with pytest.raises(DatasetError, match="im_2"):
        Dataset(str(dataset_folder)).plan(2)


def test_unknown_ids_and_scales(dataset_folder: Path) -> None:
    with pytest.raises(DatasetError, match=r"im_9.*im_1, im_2"):
        Dataset(str(dataset_folder)).plan(2, ["im_9"])
    with pytest.raises(DatasetError, match=" 3 "):
        Dataset(str(dataset_folder)).plan(3)


def test_a_kernel_file_without_kernel(dataset_folder: Path) -> None:
    savemat(dataset_folder / "gt_k_x2" / "kernel_1.mat", {"k": np.eye(11)})
    with pytest.raises(KernelError, match=r"kernel_1\.mat.*'Kernel'"):
        Dataset(str(dataset_folder)).plan(2)


def test_a_file_that_changes_during_the_run(dataset_folder: Path) -> None:
    (spec,) = Dataset(str(dataset_folder)).plan(2, ["im_1"])
    Image.new("RGB", (120, 96)).save(dataset_folder / "lr_x2" / "im_1.png")
    with pytest.raises(DatasetError, match=r"im_1\.png"):
        load_low(spec)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scale", [2, 4])
def test_the_sample_regenerates_its_low_resolution_images(name: str, scale: int, tmp_path: Path) -> None:
    from mkgan_core.imaging.degradation import degrade

    dataset = open_sample(name, Store(str(tmp_path)))
    specs = dataset.plan(scale)
    assert len(specs) >= 4
    for spec in specs:
        mask = given_masks(spec)["object"]
        assert 0.2 < mask.mean() < 0.8
        for region in (Region("object", mask), Region("background", ~mask)):
            kernel = true_kernel(spec, region)
            assert kernel is not None
            assert (kernel.half is not None) == (scale == 4)
            low = load_low(spec)
            again = images.to_uint8(degrade(load_high(spec), kernel.array, scale)) / 255
            error = np.mean((again - low)[region.mask] ** 2)
            assert -10 * np.log10(error) > 45, (spec.image, region.name)
    if name == "sample-two-blur":
        mask = given_masks(specs[0])["object"]
        inside, outside = (true_kernel(specs[0], Region("x", m)) for m in (mask, ~mask))
        assert not np.allclose(inside.array, outside.array)
        assert true_kernel(specs[0], whole(specs[0].shape)) is not None


def test_the_sample_is_built_once(tmp_path: Path) -> None:
    first = open_sample("sample", Store(str(tmp_path)))
    stamp = (tmp_path / "datasets").rglob("*.png")
    times = {path: path.stat().st_mtime_ns for path in stamp}
    again = open_sample("sample", Store(str(tmp_path)))
    assert first.store.uri == again.store.uri
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "datasets").rglob("*.png")}
