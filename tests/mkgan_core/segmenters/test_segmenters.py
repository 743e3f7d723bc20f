"""What finds objects: local detail, real YOLO, torchvision's networks, Detectron2's interface, GrabCut."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mkgan_core.errors import ConfigError, WeightsError
from mkgan_core.imaging import images
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import parts
from mkgan_core.segmenters import detectors, rules
from mkgan_core.segmenters.base import Segmentation, object_names, segment
from mkgan_core.segmenters.detectors import DetectorSettings, fill_boxes, yolo_boxes
from mkgan_core.segmenters.pictures import mask_files
from tests.conftest import ARTIFACTS, needs

SEEN_BY_YOLO = (13, 33, 42, 50, 53, 63, 80, 81, 96)
NOT_SEEN = (2, 24, 99)


@pytest.fixture
def scene() -> np.ndarray:
    """A textured disc and a textured square in front of a smooth shade, (240, 320, 3), with a little noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:240, 0:320]
    image = np.repeat((0.3 + 0.2 * x / 320)[..., None], 3, axis=2)
    disc, square = np.hypot(x - 90, y - 120) < 60, (abs(x - 240) < 45) & (abs(y - 100) < 45)
    image[disc] = 0.7 + 0.15 * rng.standard_normal((disc.sum(), 1))
    image[square] = [0.2, 0.5, 0.2] + 0.15 * rng.standard_normal((square.sum(), 1))
    return np.clip(image + 0.005 * rng.standard_normal(image.shape), 0, 1).astype(np.float32)


@pytest.fixture
def low(div2krk: Path) -> Callable[[int], np.ndarray]:
    """A low-resolution DIV2KRK image by number."""
    return lambda n: images.decode((div2krk / "lr_x2" / f"im_{n}.png").read_bytes(), f"im_{n}")


def split(name: str, image: np.ndarray, **settings: object) -> Segmentation:
    part = parts.part_class("segmenter", name)(parts.settings_of("segmenter", name, "fast"))
    return segment(part, name, image, {}, **settings)


def check_partition(found: list[Region], image: np.ndarray) -> None:
    assert np.array_equal(np.sum([region.mask for region in found], axis=0), np.ones(image.shape[:2]))
    assert len(found) == 1 or min(region.area for region in found) >= rules.MIN_AREA


@pytest.mark.parametrize("name", ["edges", "anchors"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, 2)])
def test_no_image_is_too_narrow_for_gradients(name: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((*shape, 3), np.float32)
    assert split(name, image).regions[0].mask.all()


@pytest.mark.parametrize("name", ["edges", "anchors", "fft-texture"])
def test_local_detail_is_found_as_whole_areas(name: str, scene: np.ndarray) -> None:
    found = split(name, scene)
    check_partition(found.regions, scene)
    assert [region.name for region in found.regions] == ["object", "background"]
    inside = found.regions[0].mask
    assert inside[100:140, 70:110].mean() > 0.9  # the middle of the disc
    assert inside[80:120, 220:260].mean() > 0.9  # of the square
    assert inside[200:, 150:].mean() < 0.05


@pytest.mark.parametrize("name", ["edges", "anchors", "fft-texture"])
@pytest.mark.parametrize(
    "image",
    [
        np.full((200, 300, 3), 0.5, np.float32),
        np.zeros((70, 70, 3), np.float32),
        np.random.default_rng(0).random((150, 150, 3), np.float32),
        np.repeat(np.linspace(0, 1, 200, dtype=np.float32)[None, :, None], 100, axis=0).repeat(3, axis=2),
    ],
    ids=["flat", "black", "noise", "ramp"],
)
def test_images_without_objects_do_not_break(name: str, image: np.ndarray) -> None:
    check_partition(split(name, image).regions, image)


@pytest.mark.parametrize("name", ["edges", "anchors"])
def test_local_detail_in_photographs_makes_no_small_pieces(name: str, low: Callable[[int], np.ndarray]) -> None:
    """Their published failure: tiny noisy regions."""
    from skimage.measure import label

    for number in (13, 63, 96):
        found = split(name, low(number))
        check_partition(found.regions, low(number))
        (target,) = (region.mask for region in found.regions if region.name == "object")
        assert np.bincount(label(target, connectivity=1).ravel())[1:].min() >= rules.MIN_AREA


def test_yolo_finds_what_it_should(yolo_weights: Path, low: Callable[[int], np.ndarray]) -> None:
    counts = {number: len(yolo_boxes(low(number), 0.5)) for number in (*SEEN_BY_YOLO, *NOT_SEEN)}
    assert all(counts[number] > 0 for number in SEEN_BY_YOLO), counts
    assert all(counts[number] == 0 for number in NOT_SEEN), counts
    found = yolo_boxes(low(80), 0.5)
    assert found.shape == (1, 4)  # the owl, which fills the middle
    left, top, right, bottom = found[0]
    assert left < 339 < right
    assert top < 510 < bottom
    assert (right - left) * (bottom - top) > 0.2 * 678 * 1020


@pytest.mark.parametrize("name", ["yolo", "yolo-grabcut"])
def test_yolo_masks_to_look_at(name: str, yolo_weights: Path, low: Callable[[int], np.ndarray]) -> None:
    """Four mask files and the overlay of every image, in out/test-artifacts."""
    store = Store(str(ARTIFACTS / "segment" / name))
    for number in (*SEEN_BY_YOLO, *NOT_SEEN):
        image = low(number)
        found = split(name, image)
        check_partition(found.regions, image)
        for file, data in mask_files(image, found.regions, 2):
            store.write(f"im_{number}/{file}", data)
        if number in NOT_SEEN:
            assert found.regions[0].is_whole
            assert found.note == f"{name} found no object to split off (no mask); the image is one region"
    owl = split(name, low(80)).regions[0].mask
    assert owl[300:700, 300:400].all()  # its body
    assert not owl[:100].any()  # the sky


def test_grabcut_cuts_inside_the_boxes(yolo_weights: Path, low: Callable[[int], np.ndarray]) -> None:
    image = low(96)  # birds before a bright sky
    boxes_only, cut = (split(name, image).regions[0].mask for name in ("yolo", "yolo-grabcut"))
    grey = image.mean(axis=2)
    assert cut.sum() < 0.8 * boxes_only.sum()
    assert grey[cut].mean() < grey[boxes_only].mean() - 0.1  # the birds are dark, and less sky comes with them
    again = split("yolo-grabcut", image).regions[0].mask
    assert np.array_equal(cut, again)


def test_a_yolo_that_segments(
    yolo_weights: Path, low: Callable[[int], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKGAN_WEIGHTS", str(yolo_weights.with_name("yolov8n-seg_int8.tflite")))
    image = low(96)  # birds before a bright sky
    found = split("yolo-seg", image)
    check_partition(found.regions, image)
    birds = found.regions[0].mask
    grey = image.mean(axis=2)
    assert 0.1 < birds.mean() < 0.9
    assert grey[birds].mean() < grey[~birds].mean() - 0.2
    assert split("yolo-seg", low(99)).regions[0].is_whole
    part = parts.build("segmenter", "yolo-seg", "fast", {"per_object": True})
    each = segment(part, "yolo-seg", image, {}).regions
    check_partition(each, image)
    assert len(each) >= len(found.regions)
    united = segment(part, "yolo-seg", image, {}, unite=True)
    assert [region.name for region in united.regions] == [region.name for region in found.regions]
    assert (united.regions[0].mask ^ birds).mean() < 0.02
    assert len(united.objects) > 1
    assert not np.logical_or.reduce([region.mask for region in united.objects])[~united.regions[0].mask].any()


def test_one_region_per_object(yolo_weights: Path, low: Callable[[int], np.ndarray]) -> None:
    image = low(13)
    part = parts.build("segmenter", "yolo-grabcut", "fast", {"per_object": True})
    found = segment(part, "yolo-grabcut", image, {}).regions
    check_partition(found, image)
    assert len(found) > 3
    assert {region.name for region in found} <= {"background", *object_names(6)}
    union = split("yolo-grabcut", image).regions[0].mask
    together = np.logical_or.reduce([region.mask for region in found if region.name != "background"])
    assert (union ^ together).mean() < 0.1
    with pytest.raises(ConfigError, match="'whole'"):
        parts.build("segmenter", "whole", "fast", {"per_object": True})


def grabcut(image: np.ndarray, *found: tuple[float, float, float, float]) -> list[np.ndarray]:
    part = parts.build("segmenter", "yolo-grabcut", "fast")
    return part.cut_out(image, np.array(found, float).reshape(-1, 4), "cpu")


def test_grabcut_takes_any_box(scene: np.ndarray) -> None:
    (disc,) = grabcut(scene, (20, 50, 160, 190))
    assert disc.shape == (240, 320)
    assert disc[100:140, 70:110].mean() > 0.9
    assert not disc[:, 200:].any()
    everything, over, thin, nothing = (
        grabcut(scene, box) for box in [(0, 0, 320, 240), (-50, -50, 500, 500), (10, 10, 11, 200), (50, 50, 50, 50)]
    )
    assert len(everything) == len(over) == len(thin) == 1
    assert nothing == []
    assert grabcut(np.full((100, 100, 3), 0.5, np.float32), (20, 20, 80, 80))[0][30:70, 30:70].all()  # nothing to tell


def test_boxes_are_filled_and_cut_at_the_border() -> None:
    first, second = fill_boxes([[1.6, 2.4, 5, 6], [-3, -3, 2, 100]], (10, 8))
    assert np.array_equal(np.argwhere(first)[[0, -1]], [[2, 2], [5, 4]])
    assert second.sum() == 20
    assert fill_boxes(np.zeros((0, 4)), (10, 8)) == []


@pytest.mark.parametrize("content", [b"", b"not a network", b"\x00" * 5000])
@pytest.mark.parametrize(
    "file", ["yolov8n_int8.tflite", "yolo-own.pt", "fasterrcnn_own.pth", "maskrcnn_own.pth", "sam_vit_b_own.pth"]
)
def test_corrupted_weights(
    file: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scene: np.ndarray
) -> None:
    needs("ultralytics", "ai_edge_litert")
    (tmp_path / file).write_bytes(content)
    monkeypatch.setenv("MKGAN_WEIGHTS", str(tmp_path / file))
    monkeypatch.setenv("MKGAN_TRUST_WEIGHTS", "1")
    name = {"f": "faster-rcnn", "m": "mask-rcnn", "s": "sam", "y": "yolo"}[file[0]]
    with pytest.raises(WeightsError, match=file.replace(".", r"\.")):
        split(name, scene)


@pytest.fixture(scope="module")
def rcnn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """torchvision's two networks with random weights whose heads are sure of class 1."""
    import torch
    from torchvision.models import detection

    folder = tmp_path_factory.mktemp("rcnn")
    for name in ("fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn"):
        torch.manual_seed(0)
        model = getattr(detection, name)(weights=None, weights_backbone=None)
        with torch.no_grad():
            model.roi_heads.box_predictor.cls_score.bias[1] += 9.0
        torch.save(model.state_dict(), folder / f"{name}_random.pth")
    return folder


@pytest.mark.parametrize("name", ["faster-rcnn", "mask-rcnn"])
def test_torchvision_networks_run_from_a_file(
    name: str, rcnn_folder: Path, monkeypatch: pytest.MonkeyPatch, scene: np.ndarray
) -> None:
    monkeypatch.setenv("MKGAN_WEIGHTS", str(rcnn_folder))
    network, answers = detectors._torchvision, []

    def once(*arguments: object) -> dict:
        answers.append(answers[0] if answers else network(*arguments))
        return answers[-1]

    monkeypatch.setattr(detectors, "_torchvision", once)  # it takes long: ask it once
    found = parts.build("segmenter", name, "fast").detect(scene, "cpu")
    assert len(found) > 0
    assert all(mask.shape == (240, 320) and mask.dtype == bool for mask in found)
    check_partition(split(name, scene).regions, scene)
    sure = parts.part_class("segmenter", name)(DetectorSettings(confidence=1.1))
    assert sure.masks(scene, {}) == {}
    assert segment(sure, name, scene, {}).note is not None


class Instances:
    """The part of `detectron2.structures.Instances` that its documentation describes and we use."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)

    def to(self, device: str) -> Instances:
        assert device == "cpu"
        return self

    def has(self, name: str) -> bool:
        return name in self.__dict__


@pytest.fixture
def detectron2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Instances]:
    """Detectron2's interface (model_zoo, get_cfg, DefaultPredictor) answering with what a test puts in."""
    answer: dict[str, Instances] = {}
    (tmp_path / "model_final_own.pkl").write_bytes(b"weights")
    monkeypatch.setenv("MKGAN_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("MKGAN_TRUST_WEIGHTS", "1")

    class Predictor:
        def __init__(self, config: types.SimpleNamespace) -> None:
            assert config.MODEL.WEIGHTS.endswith("model_final_own.pkl")
            assert config.MODEL.DEVICE == "cpu"
            assert config.MODEL.ROI_HEADS.SCORE_THRESH_TEST == 0.5
            assert config.file == "zoo/COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_3x.yaml"

        def __call__(self, image: np.ndarray) -> dict[str, Instances]:
            assert image.dtype == np.uint8  # (H, W, 3), BGR
            assert image.shape == (240, 320, 3)
            return answer

    def get_cfg() -> types.SimpleNamespace:
        config = types.SimpleNamespace(MODEL=types.SimpleNamespace(ROI_HEADS=types.SimpleNamespace()), file=None)
        config.merge_from_file = lambda file: setattr(config, "file", file)
        return config

    package, zoo, config, engine = (
        types.ModuleType(name) for name in ("detectron2", "model_zoo", "detectron2.config", "detectron2.engine")
    )
    package.__spec__ = sys.__spec__
    zoo.get_config_file = lambda name: f"zoo/{name}"
    package.model_zoo, config.get_cfg, engine.DefaultPredictor = zoo, get_cfg, Predictor
    for module in (package, config, engine):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    detectors._detectron2.cache_clear()
    return answer


def test_detectron2_masks(detectron2: dict[str, Instances], scene: np.ndarray) -> None:
    import torch

    masks = torch.zeros(2, 240, 320, dtype=torch.bool)
    masks[0, 40:140, 40:140] = masks[1, 100:200, 180:300] = True
    detectron2["instances"] = Instances(pred_masks=masks, scores=torch.tensor([0.9, 0.6]))
    found = split("detectron2", scene)
    check_partition(found.regions, scene)
    assert found.regions[0].mask[50:130, 50:130].all()
    assert found.regions[0].mask[110:190, 190:290].all()


def test_detectron2_boxes_and_nothing(detectron2: dict[str, Instances], scene: np.ndarray) -> None:
    import torch

    tensor = torch.tensor([[40.0, 40.0, 140.0, 140.0]])
    detectron2["instances"] = Instances(pred_boxes=types.SimpleNamespace(tensor=tensor))
    assert split("detectron2", scene).regions[0].mask[50:130, 50:130].all()
    detectron2["instances"] = Instances(pred_masks=torch.zeros(0, 240, 320, dtype=torch.bool))
    found = split("detectron2", scene)
    assert found.regions[0].is_whole
    assert found.note is not None
    assert "detectron2" in found.note


def test_detectron2_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    real = parts.importlib.util.find_spec
    monkeypatch.setattr(
        parts.importlib.util, "find_spec", lambda name: None if name in ("detectron2", "ultralytics") else real(name)
    )
    with pytest.raises(ConfigError, match=r"detectron2\.git"):
        parts.check_ready("segmenter", "detectron2")
    with pytest.raises(ConfigError, match=r"ultralytics.*mkgan\[detect\]"):
        parts.check_ready("segmenter", "yolo")
    assert parts.resolve_auto() == "fft-texture"


def test_masks_that_leave_no_two_regions_are_noted(scene: np.ndarray) -> None:
    part = parts.build("segmenter", "mask", "fast")
    full = np.ones(scene.shape[:2], bool)
    for mask in (full, ~full):
        found = segment(part, "mask", scene, {"object": mask})
        assert found.regions[0].is_whole
        assert found.note is not None
        assert "4096" in found.note
    assert split("whole", scene).note is None


def test_networks_leave_the_arithmetic_as_it_was(yolo_weights: Path, scene: np.ndarray) -> None:
    """`prepare_torch` flushes denormals, for the time of the work."""
    split("yolo", scene)
    assert np.float32(1e-40) * np.float32(1.0) != 0


def test_ultralytics_leaves_other_code_alone() -> None:
    """In a process of its own: once it is imported, it stays."""
    needs("ultralytics")
    code = (
        "import os, numpy as np; from PIL import Image; from mkgan_core.segmenters.ultralytics_api import quiet;"
        "before = Image.open, np.get_printoptions(), os.environ.get('OMP_NUM_THREADS'); quiet(); quiet();"
        "print(before == (Image.open, np.get_printoptions(), os.environ.get('OMP_NUM_THREADS')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
