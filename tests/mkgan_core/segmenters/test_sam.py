"""SAM's real code, end to end, on small networks with random weights: quality is not what is tested here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from mkgan_core.errors import WeightsError
from mkgan_core.imaging import images
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import parts
from mkgan_core.segmenters import rules, sam, ultralytics_api
from mkgan_core.segmenters.base import object_names, segment
from mkgan_core.segmenters.pictures import mask_files
from mkgan_core.segmenters.sam import Sam, SamSettings
from tests.conftest import ARTIFACTS, needs

BOXES = np.array([[30, 40, 160, 200], [100.5, 20, 310, 120], [0, 0, 320, 240]])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A SAM of two narrow layers, built by `segment_anything`, sure of itself, saved; its name is in the registry."""
    import segment_anything
    from segment_anything.build_sam import _build_sam

    build = partial(
        _build_sam, encoder_embed_dim=32, encoder_depth=2, encoder_num_heads=2, encoder_global_attn_indexes=[1]
    )
    torch.manual_seed(0)
    model = build()
    with torch.no_grad():
        model.mask_decoder.iou_prediction_head.layers[-1].bias += 1
        for network in model.mask_decoder.output_hypernetworks_mlps:
            network.layers[-1].weight *= 10_000  # stable under its thresholds
    path = tmp_path_factory.mktemp("sam") / "sam_vit_tiny_random.pth"
    torch.save(model.state_dict(), path)
    segment_anything.sam_model_registry["vit_tiny"] = build
    yield path
    del segment_anything.sam_model_registry["vit_tiny"]


@pytest.fixture
def tiny(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MKGAN_WEIGHTS", str(checkpoint))
    return checkpoint


@pytest.fixture
def photo() -> np.ndarray:
    y, x = np.mgrid[0:240, 0:320] / 100
    return np.stack([0.5 + 0.4 * np.sin(7 * x) * np.cos(5 * y), x / 3.2, y / 2.4], axis=2).astype(np.float32)


def test_boxes_are_answered_with_masks_of_the_image_s_size(tiny: Path, photo: np.ndarray) -> None:
    from segment_anything.modeling.image_encoder import ImageEncoderViT

    embedded = []
    hook = torch.nn.modules.module.register_module_forward_hook(
        lambda module, *_: embedded.append(1) if isinstance(module, ImageEncoderViT) else None
    )
    found = sam.object_masks(photo, BOXES)
    hook.remove()
    assert found.shape == (3, 240, 320)
    assert found.dtype == bool
    assert len(embedded) == 1  # one embedding, all boxes
    assert np.array_equal(sam.object_masks(photo, BOXES[:1])[0], found[0])  # boxes do not influence each other
    assert sam.object_masks(photo, np.zeros((0, 4))).shape == (0, 240, 320)


def test_its_noise_becomes_a_valid_partition(tiny: Path, photo: np.ndarray) -> None:
    masks = sam.object_masks(photo, BOXES)
    named = dict(zip(object_names(3), masks, strict=True))
    found = rules.from_masks(named, photo.shape[:2], rules.Rules())
    assert np.array_equal(np.sum([region.mask for region in found], axis=0), np.ones(photo.shape[:2]))
    assert len(found) == 1 or min(region.area for region in found) >= rules.MIN_AREA


def test_automatic_masks_largest_first(tiny: Path, photo: np.ndarray) -> None:
    part = Sam(SamSettings(points_per_side=3, most=4))
    masks = part.masks(photo, {})
    assert 0 < len(masks) <= 4
    sizes = [mask.sum() for mask in masks.values()]
    assert sizes == sorted(sizes, reverse=True)
    assert all(mask.shape == (240, 320) and mask.dtype == bool for mask in masks.values())
    found = segment(part, "sam", photo, {})
    assert np.array_equal(np.sum([region.mask for region in found.regions], axis=0), np.ones(photo.shape[:2]))
    assert len(found.regions) == 1 or min(region.area for region in found.regions) >= rules.MIN_AREA


def test_presets_differ_in_the_grid_of_points() -> None:
    assert parts.settings_of("segmenter", "sam", "paper").points_per_side == 32
    assert parts.settings_of("segmenter", "sam", "fast").points_per_side == 16


@pytest.fixture
def real_yolo_random_sam(
    yolo_weights: Path, checkpoint: Path, monkeypatch: pytest.MonkeyPatch, div2krk: Path
) -> Callable[[int], np.ndarray]:
    monkeypatch.setenv("MKGAN_WEIGHTS", f"{yolo_weights}:{checkpoint}")
    return lambda n: images.decode((div2krk / "lr_x2" / f"im_{n}.png").read_bytes(), f"im_{n}")


def test_yolo_prompts_sam(real_yolo_random_sam: Callable[[int], np.ndarray]) -> None:
    """The published recipe, all of it: real boxes, SAM's real code; what SAM answers is noise."""
    assert parts.resolve_auto() == "yolo-sam"
    store = Store(str(ARTIFACTS / "segment" / "yolo-sam-with-random-sam"))
    for per_object in (False, True):
        part = parts.build("segmenter", "yolo-sam", "fast", {"per_object": per_object})
        image = real_yolo_random_sam(13)
        found = segment(part, "yolo-sam", image, {})
        assert np.array_equal(np.sum([r.mask for r in found.regions], axis=0), np.ones(image.shape[:2]))
        assert len(found.regions) == 1 or min(r.area for r in found.regions) >= rules.MIN_AREA
        for file, data in mask_files(image, found.regions, 2):
            store.write(f"im_13_{per_object}/{file}", data)
    nothing = real_yolo_random_sam(2)
    found = segment(part, "yolo-sam", nothing, {})
    assert found.regions[0].is_whole
    assert found.note is not None


@pytest.mark.parametrize(
    ("builder", "file"), [("build_mobile_sam", "random-mobile_sam.pt"), ("build_sam2_t", "random-sam2_t.pt")]
)
def test_the_second_backend(
    builder: str, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: np.ndarray
) -> None:
    """MobileSAM and SAM 2, built by ultralytics with random weights and loaded from a file."""
    needs("ultralytics")
    ultralytics_api.quiet()
    from ultralytics.models.sam import build

    torch.manual_seed(0)
    model = getattr(build, builder)()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("iou_prediction_head.layers.2.bias"):
                parameter += 5  # a mask that scores itself at nothing is dropped
            if "output_hypernetworks_mlps" in name and name.endswith("layers.2.weight"):
                parameter *= 10_000  # and one that is not stable under its thresholds
    torch.save(model.state_dict(), tmp_path / file)
    monkeypatch.setenv("MKGAN_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("MKGAN_TRUST_WEIGHTS", "1")
    found = sam.object_masks(photo, BOXES)
    assert found.shape == (3, 240, 320)
    assert found.dtype == bool
    assert min((found[i] ^ found[j]).mean() for i, j in ((0, 1), (0, 2), (1, 2))) > 0.02  # boxes make a difference
    assert (sam.object_masks(photo, BOXES[:1])[0] ^ found[0]).mean() < 0.001  # but not to each other's masks
    masks = Sam(SamSettings(points_per_side=2)).masks(photo, {})
    assert len(masks) > 0
    assert all(mask.shape == (240, 320) and mask.dtype == bool for mask in masks.values())


def test_a_checkpoint_of_unknown_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photo: np.ndarray) -> None:
    (tmp_path / "sam_vit_x.pth").write_bytes(b"")
    monkeypatch.setenv("MKGAN_WEIGHTS", str(tmp_path))
    with pytest.raises(WeightsError, match=r"sam_vit_x\.pth.*sam_vit_h_\*\.pth"):
        sam.object_masks(photo, BOXES)


def test_weights_of_another_architecture(tiny: Path, photo: np.ndarray, tmp_path: Path, monkeypatch) -> None:
    wrong = tmp_path / "sam_vit_b_wrong.pth"
    wrong.write_bytes(tiny.read_bytes())
    monkeypatch.setenv("MKGAN_WEIGHTS", str(wrong))
    with pytest.raises(WeightsError, match=r"sam_vit_b_wrong\.pth"):
        sam.object_masks(photo, BOXES)
