"""Data sets with one blur per object, and that sets without it stay as they were."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mkgan_core.datasets import object_masks
from mkgan_core.datasets.check import check
from mkgan_core.datasets.layout import Dataset, given_masks, load_high, load_low
from mkgan_core.datasets.maker import DatasetMaker, Law
from mkgan_core.datasets.object_masks import MAX_SHARE, MIN_SHARE, MOST_FOUND, MaskFolder, YoloMasks
from mkgan_core.datasets.true_kernels import true_kernel
from mkgan_core.errors import DatasetError
from mkgan_core.imaging import images
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.machine.storage import Store, content_key, scratch, sha256
from tests.conftest import needs, real_data

SHAPE = (192, 120)
DRAWN = {
    "a": (slice(8, 72), slice(8, 112)),
    "a-2": (slice(60, 120), slice(8, 64)),  # overlaps a
    "a-3": (slice(130, 190), slice(0, 120)),
}
CLAIMED = {"object": DRAWN["a"], "object-2": (slice(72, 120), slice(8, 64)), "object-3": DRAWN["a-3"]}
LAW = {
    "about": "two kernels of the law div2krk per image: one on the object, one behind it; x4 is x2 applied twice",
    "format": 1,
    "jpeg": None,
    "kind": "two-blur",
    "masks": "given",
    "motion_kernels": None,
    "noise": 2.0,
    "scales": [2, 4],
    "seed": 5,
}


def box(place: tuple[slice, slice], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[place] = True
    return mask


@pytest.fixture
def photographs(tmp_path: Path, picture: np.ndarray) -> Path:
    """Photograph ``a`` has three objects, ``b`` one."""
    pixels = np.concatenate([picture, picture[::-1]])
    for name in ("a", "b"):
        Store(str(tmp_path / "photographs")).write(f"{name}.png", images.encode_png(pixels))
    drawn = {name: box(place) for name, place in DRAWN.items()} | {"b": box(DRAWN["a"])}
    for name, mask in drawn.items():
        Store(str(tmp_path / "masks")).write(f"{name}.png", images.encode_png(mask))
    return tmp_path / "photographs"


def make(photographs: Path, out: str, *, per_object: bool = True, **options) -> Path:
    """The folder of a data set from the photographs and the masks beside them."""
    folder = photographs.parent / out
    source = MaskFolder(str(photographs.parent / "masks"), per_object)
    law = Law(**{"kind": "two-blur", "scales": (2, 4), "masks": source.about, **options})
    DatasetMaker(str(photographs), str(folder), law, source).make()
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def truth_of(folder: Path, scale: int, region: Region) -> Kernel:
    kernel = true_kernel(Dataset(str(folder)).plan(scale, ["a"])[0], region)
    assert kernel is not None
    return kernel


@pytest.mark.parametrize("scale", [2, 4])
def test_each_region_has_its_own_blur(photographs: Path, scale: int) -> None:
    made = make(photographs, "made")
    spec, single = Dataset(str(made)).plan(scale)
    masks = given_masks(spec)
    assert list(masks) == list(CLAIMED)
    for name, place in CLAIMED.items():
        assert np.array_equal(masks[name], box(place)[::scale, ::scale])
    regions = [Region(name, mask) for name, mask in masks.items()]
    regions.append(Region("background", ~np.logical_or.reduce(list(masks.values()))))
    low, high = images.to_uint8(load_low(spec)), load_high(spec)
    blurs = []
    for region in regions:
        kernel = truth_of(made, scale, region)
        blurs.append(kernel.array)
        assert (kernel.half is None) == (scale == 2)
        assert np.array_equal(images.to_uint8(degrade(high, kernel.array, scale))[region.mask], low[region.mask])
    assert len({blur.tobytes() for blur in blurs}) == 4
    assert list(given_masks(single)) == ["object"]
    assert single.more_masks == {}


def test_the_files_of_further_objects(photographs: Path) -> None:
    (photographs / "b.png").unlink()
    files = tree(make(photographs, "made"))
    assert files.keys() == {
        *("law.json", "manifest.json", "records/a.json", "gt/a.png", "lr_x2/a.png", "lr_x4/a.png"),
        *(f"gt_k_x{scale}/kernel_a{end}.mat" for scale in (2, 4) for end in ("", "_obj", "_obj2", "_obj3")),
        *(f"masks/imga/{name}_hr_mask.png" for name in ("obj", "obj2", "obj3")),
    }
    record = json.loads(files["records/a.json"])
    assert [kernel["region"] for kernel in record["kernels"]] == 2 * ["background", *CLAIMED]
    assert record["files"].keys() == files.keys() - {"law.json", "manifest.json", "records/a.json"}


def test_background_and_first_object_are_drawn_as_without_it(photographs: Path) -> None:
    apart, united = tree(make(photographs, "apart")), tree(make(photographs, "united", per_object=False))
    for image in ("a", "b"):
        for scale in (2, 4):
            for region in ("", "_obj"):
                file = f"gt_k_x{scale}/kernel_{image}{region}.mat"
                assert apart[file] == united[file]
    assert apart["lr_x2/b.png"] == united["lr_x2/b.png"]  # b has one object


def test_without_it_a_set_is_as_before(photographs: Path) -> None:
    """Law, keys and the names of the files: data sets of earlier versions are continued."""
    (photographs / "b.png").unlink()
    files = tree(make(photographs, "made", per_object=False, noise=2.0, seed=5))
    assert files["law.json"].decode() == json.dumps(LAW, indent=1, sort_keys=True) + "\n"
    record = json.loads(files["records/a.json"])
    source, mask = (sha256((photographs.parent / folder / "a.png").read_bytes()) for folder in ("photographs", "masks"))
    assert record["key"] == content_key({**LAW, "image": "a", "source": source, "mask": mask})
    assert record.keys() == {"key", "image", "source", "files", "kernels", "note"}
    assert files.keys() == {
        *("law.json", "manifest.json", "records/a.json", "gt/a.png", "lr_x2/a.png", "lr_x4/a.png"),
        *(f"gt_k_x{scale}/kernel_a{end}.mat" for scale in (2, 4) for end in ("", "_obj")),
        "masks/imga/obj_hr_mask.png",
    }


def test_check_sees_the_files_of_each_object(photographs: Path) -> None:
    made = make(photographs, "made")
    found = list(check(str(made)))
    assert {finding.regeneration for finding in found} == {float("inf")}
    assert not [finding for finding in found if finding.problem]
    kernels = made / "gt_k_x2"
    (kernels / "kernel_a_obj3.mat").write_bytes((kernels / "kernel_a_obj.mat").read_bytes())
    assert "kernel_a_obj3.mat" in str(next(check(str(made), [2])).problem)
    (made / "manifest.json").unlink()
    assert next(check(str(made), [2])).regeneration < 50  # the pixels tell


def test_a_region_of_several_blurs_has_that_of_most_of_its_pixels(photographs: Path) -> None:
    made, masks = make(photographs, "made"), {}
    (spec,) = Dataset(str(made)).plan(2, ["a"])
    masks = given_masks(spec)
    background = ~np.logical_or.reduce(list(masks.values()))

    def blur(mask: np.ndarray) -> np.ndarray:
        return truth_of(made, 2, Region("x", mask)).array

    areas = {name: mask.sum() for name, mask in masks.items()} | {"background": background.sum()}
    assert max(areas, key=lambda name: areas[name]) == "object-3"
    assert areas["object-3"] < whole(spec.shape).area / 2
    assert np.array_equal(blur(np.ones(spec.shape, bool)), blur(masks["object-3"]))
    assert np.array_equal(blur(masks["object"] | masks["object-2"]), blur(masks["object"]))
    assert np.array_equal(blur(masks["object-2"] | background), blur(background))


def test_fewer_masks_leave_no_files_behind(photographs: Path) -> None:
    made = make(photographs, "made")
    for name in ("a-2", "a-3"):
        (photographs.parent / "masks" / f"{name}.png").unlink()
    make(photographs, "made")
    assert tree(made) == tree(make(photographs, "fresh"))


def test_a_set_with_it_is_not_continued_without_it(photographs: Path) -> None:
    made = make(photographs, "made")
    before = tree(made)
    with pytest.raises(DatasetError):
        make(photographs, "made", per_object=False)
    assert tree(made) == before


def test_masks_that_do_not_fit(photographs: Path) -> None:
    Store(str(photographs.parent / "masks")).write("a-2.png", images.encode_png(np.ones((20, 20), bool)))
    with pytest.raises(DatasetError, match=r"a-2\.png.* 20x20.* 120x192"):
        make(photographs, "made")


@pytest.mark.parametrize(("name", "mask"), [("a-2", True), ("a_obj2", False), ("a_obj", False)])
def test_names_that_could_mean_two_things(photographs: Path, name: str, mask: bool) -> None:
    """A mask of two images, a kernel's file of two images."""
    (photographs / f"{name}.png").write_bytes((photographs / "b.png").read_bytes())
    with pytest.raises(DatasetError, match=rf"{name}\.png"):
        make(photographs, "made")
    if mask:
        make(photographs, "made", per_object=False)


@pytest.mark.parametrize("lacking", ["mask", "kernel"])
def test_an_object_needs_its_mask_but_no_kernel(photographs: Path, lacking: str) -> None:
    made = make(photographs, "made")
    if lacking == "mask":
        (made / "masks" / "imga" / "obj3_hr_mask.png").unlink()
        with pytest.raises(DatasetError, match=r"kernel_a_obj3\.mat.*obj3_hr_mask\.png"):
            Dataset(str(made)).plan(2)
        return
    (made / "gt_k_x2" / "kernel_a_obj3.mat").unlink()
    third, background = box(CLAIMED["object-3"])[::2, ::2], np.ones((96, 60), bool)
    for mask in given_masks(Dataset(str(made)).plan(2)[0]).values():
        background &= ~mask
    assert np.array_equal(truth_of(made, 2, Region("x", third)).array, truth_of(made, 2, Region("x", background)).array)


def test_small_objects_are_background(photographs: Path) -> None:
    """They keep no pixels from the larger ones, and take no number."""
    Store(str(photographs.parent / "masks")).write("a.png", images.encode_png(box((slice(64, 80), slice(20, 40)))))
    Store(str(photographs.parent / "masks")).write("b.png", images.encode_png(box((slice(0, 3), slice(0, 90)))))
    made = make(photographs, "made")
    (spec,) = Dataset(str(made)).plan(2)
    expected = [box(DRAWN[name])[::2, ::2] for name in ("a-2", "a-3")]
    assert all(np.array_equal(a, b) for a, b in zip(given_masks(spec).values(), expected, strict=True))
    manifest = json.loads((made / "manifest.json").read_text())
    assert [entry["image"] for entry in manifest["left_out"]] == ["b"]
    assert manifest["left_out"][0]["note"]


def test_objects_that_leave_no_background(photographs: Path) -> None:
    for name, rows in {"a": slice(0, 60), "a-2": slice(60, 130), "a-3": slice(130, 192)}.items():
        Store(str(photographs.parent / "masks")).write(f"{name}.png", images.encode_png(box((rows, slice(0, 120)))))
    manifest = json.loads((make(photographs, "made") / "manifest.json").read_text())
    assert [entry["image"] for entry in manifest["left_out"]] == ["a"]


boxes = st.tuples(*[st.integers(0, 60)] * 4).map(
    lambda ends: (slice(min(ends[:2]), max(ends[:2])), slice(min(ends[2:]), max(ends[2:])))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(boxes, min_size=1, max_size=6))
def test_objects_are_disjoint_and_large_enough(places: list[tuple[slice, slice]]) -> None:
    drawn = [box(place, (60, 60)) for place in places]
    with scratch() as store:
        for number, mask in enumerate(drawn, 1):
            store.write(f"a{f'-{number}' if number > 1 else ''}.png", images.encode_png(mask))
        found, note = MaskFolder(store.uri, per_object=True).objects("a", np.zeros((60, 60, 3), np.float32))
    assert bool(found) == (note is None)
    if found:
        owners = np.sum(found, axis=0)
        assert owners.max() == 1
        assert owners.mean() <= MAX_SHARE
        assert all(mask.mean() >= MIN_SHARE for mask in found)
        first = next(mask for mask in drawn if mask.mean() >= MIN_SHARE)
        assert np.array_equal(found[0], first)  # nothing takes pixels from the first large one
        assert not (owners.astype(bool) & ~np.logical_or.reduce(drawn)).any()


def found_by(masks: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> YoloMasks:
    """A source whose network always finds these objects, the surest first."""
    import torch

    answer = SimpleNamespace(masks=SimpleNamespace(data=torch.as_tensor(np.stack(masks), dtype=torch.float32)))
    monkeypatch.setattr(object_masks, "verify", lambda weights: "0" * 64)
    network = SimpleNamespace(predict=lambda *args, **options: (answer,))
    monkeypatch.setattr(object_masks, "_load", lambda weights, digest: network)
    return YoloMasks(Path("any"), per_object=True)


def test_the_surest_object_wins_and_the_largest_is_first(monkeypatch: pytest.MonkeyPatch) -> None:
    photograph = np.zeros((100, 100, 3), np.float32)
    tie, sure = box((slice(10, 20), slice(60, 70)), (100, 100)), box((slice(0, 30), slice(0, 30)), (100, 100))
    wearer = box((slice(0, 60), slice(20, 90)), (100, 100))
    wearer[40:50, 40:50] = False  # a hole
    masks, note = found_by([tie, sure, wearer], monkeypatch).objects("a", photograph)
    assert note is None
    filled = box((slice(0, 60), slice(20, 90)), (100, 100))
    assert np.array_equal(masks[0], filled & ~sure)
    assert np.array_equal(masks[1], sure)
    assert len(masks) == 2


def test_the_largest_objects_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    widths = (6, 9, 7, 8, 10, 11)
    places = [(slice(0, 100), slice(16 * n, 16 * n + width)) for n, width in enumerate(widths)]
    masks, _ = found_by([box(place, (100, 100)) for place in places], monkeypatch).objects(
        "a", np.zeros((100, 100, 3), np.float32)
    )
    assert [int(mask.sum()) for mask in masks] == [100 * width for width in sorted(widths, reverse=True)[:MOST_FOUND]]


def test_two_parrots_are_two_objects() -> None:
    weights = real_data("weights/yolov8n-seg_int8.tflite")
    needs("ultralytics", "ai_edge_litert")
    photograph = images.decode(real_data("kodak24/23.png").read_bytes(), "23")
    masks, note = YoloMasks(weights, per_object=True).objects("23", photograph)
    assert note is None
    assert len(masks) == 2
    assert not (masks[0] & masks[1]).any()
    assert masks[0].sum() >= masks[1].sum() >= MIN_SHARE * masks[0].size
    columns = [mask.any(axis=0).nonzero()[0].mean() for mask in masks]
    assert abs(columns[0] - columns[1]) > 200  # one on the left, one on the right
    (union,), _ = YoloMasks(weights).objects("23", photograph)
    assert (np.logical_or(*masks) & union).sum() / np.logical_or(*masks).sum() > 0.95
