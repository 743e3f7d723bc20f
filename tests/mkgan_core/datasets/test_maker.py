from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mkgan_core.datasets import kernel_laws
from mkgan_core.datasets.check import check
from mkgan_core.datasets.kernel_laws import read_motion_kernels
from mkgan_core.datasets.layout import Dataset, given_masks, load_high, load_low
from mkgan_core.datasets.maker import DatasetMaker, Law
from mkgan_core.datasets.object_masks import MaskFolder, YoloMasks
from mkgan_core.datasets.true_kernels import true_kernel
from mkgan_core.errors import ConfigError, DatasetError, WeightsError
from mkgan_core.imaging import degradation, images, kernel_files, kernels
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.machine.storage import Store, sha256
from tests.conftest import needs, real_data

CLEAN = Law("div2krk", (2, 4), seed=3)
MASKED = Law("two-blur", (2, 4), masks="given")


@pytest.fixture
def photographs(tmp_path: Path, picture: np.ndarray) -> Path:
    """Three pictures; one has an alpha channel, one a size that is no multiple of four."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    pixels = images.to_uint8(np.concatenate([picture, picture[::-1]]))
    Image.fromarray(pixels).save(folder / "im_1.png")
    Image.fromarray(np.dstack([pixels, pixels[..., :1]]), "RGBA").save(folder / "im_2.png")
    Image.fromarray(pixels[:-3, :-2]).save(folder / "hill.jpg", quality=95)
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.fixture
def masks(tmp_path: Path) -> Path:
    folder = tmp_path / "masks"
    store = Store(str(folder))
    mask = np.zeros((192, 120), bool)
    mask[20:150, 10:90] = True
    store.write("im_1.png", images.encode_png(mask))
    second = np.zeros((192, 120), bool)
    second[155:190, 5:115] = True
    store.write("im_1-2.png", images.encode_png(second))  # counts only with one blur per object
    store.write("hill.png", images.encode_png(np.zeros((189, 118), bool)))
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_made_set_is_loaded_and_regenerated_exactly(photographs: Path, tmp_path: Path) -> None:
    manifest = DatasetMaker(str(photographs), str(tmp_path / "made"), CLEAN).make()
    assert [entry["image"] for entry in manifest["images"]] == ["hill", "im_1", "im_2"]
    for scale in (2, 4):
        for spec in Dataset(str(tmp_path / "made")).plan(scale):
            truth = true_kernel(spec, whole(spec.shape))
            assert truth is not None
            assert (truth.half is None) == (scale == 2)
            again = degradation.degrade(load_high(spec), truth.array, scale)
            assert np.array_equal(images.to_uint8(again), images.to_uint8(load_low(spec)))
    assert load_high(Dataset(str(tmp_path / "made")).plan(2, ["hill"])[0]).shape == (188, 116, 3)
    assert {found.regeneration for found in check(str(tmp_path / "made"))} == {float("inf")}
    assert not [found for found in check(str(tmp_path / "made")) if found.problem]


def test_the_manifest_names_hashes_kernels_and_law(photographs: Path, tmp_path: Path) -> None:
    import hashlib

    out = tmp_path / "made"
    DatasetMaker(str(photographs), str(out), CLEAN).make()
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["kind"], manifest["seed"], manifest["scales"]) == ("div2krk", 3, [2, 4])
    for entry in manifest["images"]:
        for name, digest in entry["files"].items():
            assert hashlib.sha256((out / name).read_bytes()).hexdigest() == digest
        source = photographs / entry["source"]["name"]
        assert hashlib.sha256(source.read_bytes()).hexdigest() == entry["source"]["sha256"]
        for about in entry["kernels"]:
            stored = kernel_files.decode((out / about["file"]).read_bytes(), about["file"])
            assert np.allclose(kernels.covariance(stored), about["covariance"], atol=1e-4)


def test_chance_hangs_on_seed_and_name_alone(photographs: Path, tmp_path: Path) -> None:
    DatasetMaker(str(photographs), str(tmp_path / "all"), CLEAN).make()
    DatasetMaker(str(photographs), str(tmp_path / "other"), Law("div2krk", (2, 4), seed=4)).make()
    (photographs / "hill.jpg").unlink()
    DatasetMaker(str(photographs), str(tmp_path / "fewer"), CLEAN).make()
    a, b, c = (tree(tmp_path / name) for name in ("all", "fewer", "other"))
    assert all(a[name] == content for name, content in b.items() if name.endswith((".mat", ".png")))
    assert a["gt_k_x2/kernel_1.mat"] != a["gt_k_x2/kernel_2.mat"] != c["gt_k_x2/kernel_2.mat"]


@pytest.mark.parametrize("kind", ["div2krk", "two-blur", "per object"])
def test_interrupted_anywhere_it_goes_on_and_repeats_nothing(
    photographs: Path, masks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Stop before every single write in turn, and once inside one, as a killed process would."""

    def maker(out: str) -> DatasetMaker:
        if kind == "div2krk":
            return DatasetMaker(str(photographs), out, CLEAN)
        source = MaskFolder(str(masks), per_object=kind == "per object")
        return DatasetMaker(str(photographs), out, replace(MASKED, masks=source.about), source)

    maker(str(tmp_path / "whole")).make()
    expected = tree(tmp_path / "whole")
    write, written = Store.write, []

    def counted(self: Store, name: str, data: bytes) -> str:
        if not name.startswith(".probe"):
            if len(written) == limit:
                (tmp_path / out / "half.png.123.part").write_bytes(data[: len(data) // 2])
                raise KeyboardInterrupt
            written.append(name)
        return write(self, name, data)

    for limit in range(len(expected)):
        out, written[:] = f"stopped-{limit}", []
        monkeypatch.setattr(Store, "write", counted)
        (tmp_path / out).mkdir()
        with pytest.raises(KeyboardInterrupt):
            maker(str(tmp_path / out)).make()
        monkeypatch.setattr(Store, "write", write)
        finished = {Path(name).stem for name in written if name.startswith("records/")}
        was_done = {}
        maker(str(tmp_path / out)).make(
            lambda record, done, was_done=was_done: was_done.update({record["image"]: done})
        )
        assert {image for image, done in was_done.items() if done} == finished
        (tmp_path / out / "half.png.123.part").unlink()
        assert tree(tmp_path / out) == expected


def test_two_blurs(photographs: Path, masks: Path, tmp_path: Path) -> None:
    manifest = DatasetMaker(str(photographs), str(tmp_path / "made"), MASKED, MaskFolder(str(masks))).make()
    assert [entry["image"] for entry in manifest["images"]] == ["im_1"]
    notes = {entry["image"]: entry["note"] for entry in manifest["left_out"]}
    assert "0.0%" in notes["hill"]
    assert "im_2.png" in notes["im_2"]
    for scale in (2, 4):
        (spec,) = Dataset(str(tmp_path / "made")).plan(scale)
        assert list(given_masks(spec)) == ["object"]
        mask = given_masks(spec)["object"]
        low, high = load_low(spec), load_high(spec)
        truths = []
        for region in (Region("object", mask), Region("background", ~mask)):
            truth = true_kernel(spec, region)
            assert truth is not None
            again = degradation.degrade(high, truth.array, scale)
            assert np.array_equal(images.to_uint8(again)[region.mask], images.to_uint8(low)[region.mask])
            truths.append(truth.array)
        assert not np.allclose(*truths)


def test_motion_noise_and_jpeg(photographs: Path, tmp_path: Path) -> None:
    DatasetMaker(str(photographs), str(tmp_path / "clean"), Law("motion", (2, 4))).make()
    DatasetMaker(str(photographs), str(tmp_path / "noisy"), Law("motion", (2,), noise=8.0)).make()
    DatasetMaker(str(photographs), str(tmp_path / "jpeg"), Law("motion", (2,), jpeg=60)).make()
    lows = {}
    for name in ("clean", "noisy", "jpeg"):
        spec = Dataset(str(tmp_path / name)).plan(2, ["im_1"])[0]
        lows[name] = load_low(spec)
        truth = true_kernel(spec, whole(spec.shape))
        assert truth is not None
        assert truth.array.shape == (13, 13)
    assert np.std(lows["noisy"] - lows["clean"]) == pytest.approx(8 / 255, rel=0.1)
    assert 0.002 < np.std(lows["jpeg"] - lows["clean"]) < 0.1
    assert not [found for found in check(str(tmp_path / "noisy")) if found.problem]
    assert not [found for found in check(str(tmp_path / "jpeg")) if found.problem]
    (at_4,) = (f for f in check(str(tmp_path / "clean"), [4]) if f.image == "im_1")
    assert at_4.regeneration == float("inf")


def test_random_motion_is_no_gaussian() -> None:
    """As the law of DIV2KRK is, noise and all. Short straight shakes come near to one."""
    motions, blurs = (
        [kernels.is_gaussian(law(np.random.default_rng(seed), 2)) for seed in range(60)]
        for law in (kernel_laws.random_motion_kernel, kernel_laws.random_kernel)
    )
    assert np.mean(motions) < 0.3
    assert all(blurs)


def test_motion_kernels_of_a_file(photographs: Path, tmp_path: Path) -> None:
    file = real_data("kernels/kernels_12.mat")
    found = read_motion_kernels(file.read_bytes(), str(file))
    assert [kernel.shape for kernel in found] == [(25, 25)] * 4
    DatasetMaker(str(photographs), str(tmp_path / "made"), Law("motion", (2,), motion_kernels="x"), None, found).make()
    for spec in Dataset(str(tmp_path / "made")).plan(2):
        truth = true_kernel(spec, whole(spec.shape))
        assert truth is not None
        assert max(kernels.kernel_psnr(kernels.centre(k, 2), truth.array, 2) for k in found) > 60


def test_a_file_of_gaussians_has_no_motion() -> None:
    import io

    from scipy.io import savemat

    out, cells = io.BytesIO(), np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = kernels.gaussian(np.eye(2), 11, 1), kernels.gaussian(2 * np.eye(2), 11, 1)
    savemat(out, {"kernels": cells})
    with pytest.raises(DatasetError, match=r"k\.mat"):
        read_motion_kernels(out.getvalue(), "k.mat")


def test_other_options_and_foreign_folders_are_refused(photographs: Path, tmp_path: Path) -> None:
    DatasetMaker(str(photographs), str(tmp_path / "made"), CLEAN).make()
    before = tree(tmp_path / "made")
    with pytest.raises(DatasetError, match=r"seed 3 .*5"):
        DatasetMaker(str(photographs), str(tmp_path / "made"), Law("div2krk", (2, 4), seed=5))
    with pytest.raises(DatasetError, match="photographs"):
        DatasetMaker(str(photographs), str(photographs), CLEAN)
    assert tree(tmp_path / "made") == before


def test_a_changed_photograph_is_made_again_alone(photographs: Path, tmp_path: Path) -> None:
    DatasetMaker(str(photographs), str(tmp_path / "made"), CLEAN).make()
    Image.new("RGB", (80, 80), "red").save(photographs / "im_2.png")
    done = {}
    DatasetMaker(str(photographs), str(tmp_path / "made"), CLEAN).make(lambda r, was: done.update({r["image"]: was}))
    assert done == {"hill": True, "im_1": True, "im_2": False}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "im_1.jpg").write_bytes((f / "hill.jpg").read_bytes()), r"im_1\.(jpg|png) .*im_1\.(jpg|png) "),
        (lambda f: (f / "1.png").write_bytes((f / "im_1.png").read_bytes()), r"1\.png .*im_1\.png "),
        (lambda f: (f / "1_obj.png").write_bytes((f / "im_1.png").read_bytes()), r"1_obj\.png .*im_1\.png "),
        (lambda f: (f / "bad.png").write_bytes(b"no"), r"bad\.png"),
        (lambda f: Image.new("RGB", (30, 90)).save(f / "small.png"), r"small\.png .*30x90.* 64 "),
        (lambda f: [p.unlink() for p in f.iterdir()], "photographs"),
    ],
)
def test_bad_photographs_are_refused_before_anything_is_written(photographs: Path, tmp_path: Path, spoil, says) -> None:
    spoil(photographs)
    with pytest.raises(DatasetError, match=says):
        DatasetMaker(str(photographs), str(tmp_path / "made"), CLEAN)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kind": "blurry"}, "--kind 'blurry'"),
        ({"kind": "two-blur"}, "two-blur .*--masks"),
        ({"kind": "div2krk", "masks": "given"}, "div2krk .*--masks"),
        ({"kind": "div2krk", "motion_kernels": "x"}, "--kernels.* div2krk"),
        ({"kind": "div2krk", "noise": -1}, "--noise -1"),
        ({"kind": "div2krk", "jpeg": 100}, "--jpeg 100"),
        ({"kind": "div2krk", "seed": -1}, "--seed -1"),
    ],
)
def test_laws_that_make_no_sense(options: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Law(**{"scales": (2,), **options})


def test_masks_by_yolo(tmp_path: Path) -> None:
    """The weights score low, but a parrot is a bird and a sea front holds no object."""
    weights = real_data("weights/yolov8n-seg_int8.tflite")
    needs("ultralytics", "ai_edge_litert")
    source = YoloMasks(weights)
    photographs = {name: images.decode(real_data(f"kodak24/{name}.png").read_bytes(), name) for name in ("23", "16")}
    (mask,), note = source.objects("23", photographs["23"])
    assert note is None
    assert mask.shape == photographs["23"].shape[:2]
    assert 0.3 < mask.mean() < 0.5
    masks, note = source.objects("16", photographs["16"])
    assert masks == []
    assert note


def test_missing_weights_and_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WeightsError, match=r"none\.tflite"):
        YoloMasks(tmp_path / "none.tflite")
    (tmp_path / "some.tflite").write_bytes(b"something")
    monkeypatch.setitem(sys.modules, "ultralytics", None)
    with pytest.raises(WeightsError, match="ultralytics"):
        YoloMasks(tmp_path / "some.tflite")


@pytest.mark.parametrize("name", ["lr_x2/im_1.png", "gt_k_x2/kernel_1.mat", "records/im_1.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"{}", None])
def test_what_is_damaged_is_made_again(photographs: Path, tmp_path: Path, name: str, content: bytes | None) -> None:
    for other in ("im_2.png", "hill.jpg"):
        (photographs / other).unlink()
    law, out = Law("div2krk", (2,)), tmp_path / "made"
    DatasetMaker(str(photographs), str(out), law).make()
    expected = tree(out)
    (out / name).write_bytes((out / name).read_bytes()[:-5] if content is None else content)
    done: list[bool] = []
    DatasetMaker(str(photographs), str(out), law).make(lambda record, was_done: done.append(was_done))
    assert done == [False]
    assert tree(out) == expected


def test_a_record_names_no_file_elsewhere(photographs: Path, tmp_path: Path) -> None:
    out, law = tmp_path / "made", Law("div2krk", (2,))
    DatasetMaker(str(photographs), str(out), law).make()
    (tmp_path / "other").write_bytes(b"")
    for place in ("../other", (tmp_path / "other").as_uri(), str(tmp_path / "other")):
        record = json.loads((out / "records" / "im_1.json").read_text())
        record["files"][place] = sha256(b"")
        (out / "records" / "im_1.json").write_text(json.dumps(record))
        manifest = DatasetMaker(str(photographs), str(out), law).make()
        assert place not in json.dumps(manifest)


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff"])
def test_a_damaged_law_is_named(photographs: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "law.json").write_bytes(content)
    with pytest.raises(DatasetError, match=r"law\.json"):
        DatasetMaker(str(photographs), str(tmp_path / "made"), CLEAN)


def test_names_of_photographs_that_cannot_be_shown(photographs: Path, tmp_path: Path) -> None:
    (photographs / "im_1.png").rename(photographs / "im\n1.png")
    with pytest.raises(DatasetError, match=r"'im\\n1\.png'"):
        DatasetMaker(str(photographs), str(tmp_path / "made"), CLEAN)
