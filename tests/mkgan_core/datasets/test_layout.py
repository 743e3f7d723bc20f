from __future__ import annotations

import contextlib
import os
import re
import socket
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mkgan_core.datasets.check import check
from mkgan_core.datasets.layout import Dataset, given_masks, load_high, load_low, open_file
from mkgan_core.datasets.sample import NAMES, open_sample
from mkgan_core.datasets.true_kernels import true_kernel
from mkgan_core.errors import DatasetError, KernelError, MkganError
from mkgan_core.imaging import images, kernel_files
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


@pytest.mark.parametrize(("folder", "other"), [("lr_x2", "im_1.jpg"), ("gt", "im_1.tif"), ("gt", "im_1.PNG")])
def test_two_files_for_one_image(dataset_folder: Path, folder: str, other: str) -> None:
    Image.open(dataset_folder / folder / "im_1.png").convert("RGB").save(dataset_folder / folder / other)
    with pytest.raises(DatasetError, match=rf"{folder}\b") as caught:
        Dataset(str(dataset_folder)).plan(2)
    assert all(name in str(caught.value) for name in ("im_1.png", other))
    assert len(Dataset(str(dataset_folder)).plan(2, ["im_2"])) == 1  # it costs only itself
    assert [finding.problem is None for finding in check(str(dataset_folder))] == [False, True]


def test_other_files_beside_the_pictures_do_not_matter(dataset_folder: Path) -> None:
    for name in ("gt/im_1.txt", "gt/im_1.json", "lr_x2/im_1.xmp", "lr_x2/._im_1.png", "gt/.im_2.png"):
        (dataset_folder / name).write_text("notes")
    assert [spec.high.uri[-8:] for spec in Dataset(str(dataset_folder)).plan(2) if spec.high] == [
        "im_1.png",
        "im_2.png",
    ]


def test_an_image_named_twice_is_taken_once(dataset_folder: Path) -> None:
    specs = Dataset(str(dataset_folder)).plan(2, ["im_2", "im_1", "im_2"])
    assert [spec.image for spec in specs] == ["im_2", "im_1"]


@pytest.mark.parametrize("name", [b"im_\xff.png", b"im\n1.png", b"\x1b[31mim_1.png", "im_1\u2028.png".encode()])
def test_names_that_cannot_be_shown(dataset_folder: Path, name: bytes) -> None:
    for folder in ("lr_x2", "gt"):
        (dataset_folder / folder / "im_1.png").rename(dataset_folder / folder / os.fsdecode(name))
    with pytest.raises(DatasetError) as caught:
        Dataset(str(dataset_folder)).plan(2)
    assert repr(os.fsdecode(name))[1:-1] in str(caught.value)
    with pytest.raises(DatasetError) as caught:
        open_file(str(dataset_folder / "lr_x2" / os.fsdecode(name)))
    assert repr(os.fsdecode(name))[1:-1] in str(caught.value)
    assert str(caught.value).isprintable()
    with pytest.raises(DatasetError):
        Dataset(os.fsdecode(b"data\xff"))


@pytest.mark.parametrize(
    "name", ["lr_x2/im_1.png", "gt/im_1.png", "gt_k_x2/kernel_1.mat", "masks/img1/obj_hr_mask.png", "manifest.json"]
)
@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device"])
def test_what_is_no_file_is_refused_at_once(dataset_folder: Path, name: str, kind: str) -> None:
    place = dataset_folder / name
    place.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    elif kind == "device":
        place.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(place.parent):
            made.bind(place.name)
    if name == "manifest.json":
        with pytest.raises(MkganError, match=r"manifest\.json"):
            list(check(str(dataset_folder)))
        return
    with pytest.raises(MkganError, match=re.escape(place.name)):
        Dataset(str(dataset_folder)).plan(2)
    first, second = check(str(dataset_folder))
    assert place.name in str(first.problem)
    assert second.problem is None


def test_an_object_s_kernel_needs_its_mask(dataset_folder: Path) -> None:
    (dataset_folder / "gt_k_x2" / "kernel_1_obj.mat").write_bytes(kernel_files.encode_mat(np.eye(5)))
    (dataset_folder / "masks" / "img1" / "obj_hr_mask.png").unlink()
    with pytest.raises(DatasetError, match=r"kernel_1_obj\.mat.*obj_hr_mask\.png"):
        Dataset(str(dataset_folder)).plan(2)


def test_the_mask_of_each_object_has_the_size_of_the_image(dataset_folder: Path) -> None:
    masks = dataset_folder / "masks" / "img1"
    (masks / "obj2_hr_mask.png").write_bytes((masks / "obj_hr_mask.png").read_bytes())
    (spec,) = Dataset(str(dataset_folder)).plan(2, ["im_1"])
    assert list(given_masks(spec)) == ["object", "object-2"]
    (masks / "obj3_hr_mask.png").write_bytes(images.encode_png(np.ones((192, 238), bool)))
    with pytest.raises(DatasetError, match=r"obj3_hr_mask\.png.*240x192"):
        Dataset(str(dataset_folder)).plan(2, ["im_1"])


BAD_TRUTHS = {
    "one value": np.ones((1, 1)),
    "almost no sum": np.array([[1e-6, 1, 1], [-1, 0, 1], [-1, -1, 0]]),
}


@pytest.mark.parametrize("what", BAD_TRUTHS)
@pytest.mark.parametrize("scale", [2, 4])
def test_a_true_kernel_that_is_no_blur_is_named(tmp_path: Path, what: str, scale: int) -> None:
    grey = images.encode_png(np.full((64, 64, 3), 0.5, np.float32))
    store = Store(str(tmp_path))
    store.write(f"lr_x{scale}/im_1.png", grey)
    store.write("gt/im_1.png", images.encode_png(np.full((64 * scale, 64 * scale, 3), 0.5, np.float32)))
    store.write(f"gt_k_x{scale}/kernel_1.mat", kernel_files.encode_mat(BAD_TRUTHS[what]))
    (spec,) = Dataset(str(tmp_path)).plan(scale)
    with pytest.raises(KernelError, match=rf"gt_k_x{scale}/kernel_1\.mat"):
        true_kernel(spec, whole(spec.shape))
    (found,) = check(str(tmp_path))
    assert "kernel_1.mat" in str(found.problem)


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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    open_sample("sample-two-blur", Store(str(folder)))
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "datasets").rglob("*") if path.is_file()}


def test_the_sample_is_built_once(built: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in (built / "datasets").rglob("*.*")}
    open_sample("sample-two-blur", Store(str(built)))
    assert times == {path: path.stat().st_mtime_ns for path in (built / "datasets").rglob("*.*")}


@pytest.mark.parametrize("how", ["removed", "cut", "altered"])
@pytest.mark.parametrize(
    "name", ["lr_x2/coffee.png", "gt/coffee.png", "gt_k_x4/kernel_coffee_obj.mat", "manifest.json", "built.json"]
)
def test_what_the_sample_lost_is_made_again(built: Path, how: str, name: str) -> None:
    before = content(built)
    (file,) = (built / "datasets").glob(f"*/{name}")
    data = bytearray(file.read_bytes())
    if how == "removed":
        file.unlink()
    elif how == "cut":
        file.write_bytes(data[: len(data) // 2])
    else:
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    assert len(open_sample("sample-two-blur", Store(str(built))).plan(2)) == 4
    assert content(built) == before
