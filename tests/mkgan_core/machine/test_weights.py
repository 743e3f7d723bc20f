"""The registry, where weights are looked for, and that nothing damaged is used."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from mkgan_core.errors import ConfigError, WeightsError
from mkgan_core.machine import weights
from mkgan_core.machine.places import cache_folder
from mkgan_core.pipeline import method, parts


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that MKGAN_WEIGHTS names."""
    monkeypatch.setenv("MKGAN_WEIGHTS", str(tmp_path))
    return tmp_path


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(name.encode())


def test_the_registry_is_complete() -> None:
    # no hash of a YOLO that segments is known to verify a download with
    assert {entry.family for entry in weights.REGISTRY.values()} == set(weights.FAMILIES) - {"yolo-seg"}
    for name, entry in weights.REGISTRY.items():
        assert entry.name == name
        assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
        assert entry.address.startswith("https://")
        assert entry.size > 1_000_000
        assert entry.licence
        torch_hash = re.search(r"-([0-9a-f]{8})\.pth$", entry.file)  # torchvision's names carry the hash's start
        assert torch_hash is None or entry.sha256.startswith(torch_hash[1])


def test_files_are_recognised_by_name(folder: Path) -> None:
    put(folder, "yolo11n.onnx", "yolov8n-seg.pt", "yolo-notes.txt", "sam_vit_b_mine.pth", "my-mobile_sam.pt", "best.pt")
    put(folder, "fasterrcnn_resnet50_fpn_v2_coco.pth", "maskrcnn_x.pth", "model_final_1.pkl", "sam2.1_b.pt")
    names = {family: [path.name for path in weights.available(family)] for family in weights.FAMILIES}
    assert names == {
        "yolo": ["yolo11n.onnx"],
        "yolo-seg": ["yolov8n-seg.pt"],
        "sam": ["my-mobile_sam.pt", "sam2.1_b.pt", "sam_vit_b_mine.pth"],
        "faster-rcnn": ["fasterrcnn_resnet50_fpn_v2_coco.pth"],
        "mask-rcnn": ["maskrcnn_x.pth"],
        "detectron2": ["model_final_1.pkl"],
    }


def test_published_files_come_first_and_named_places_before_the_cache(folder: Path) -> None:
    put(folder, "sam_vit_a.pth", "mobile_sam.pt", "sam_vit_b_01ec64.pth", "sam_vit_h_4b8939.pth")
    cache_folder().mkdir(parents=True, exist_ok=True)
    put(cache_folder(), "sam_vit_l_0b3195.pth")
    assert [path.name for path in weights.available("sam")] == [
        "sam_vit_h_4b8939.pth",
        "sam_vit_b_01ec64.pth",
        "mobile_sam.pt",
        "sam_vit_a.pth",
        "sam_vit_l_0b3195.pth",
    ]
    (cache_folder() / "sam_vit_l_0b3195.pth").unlink()


def test_files_can_be_named_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "best.tflite", "sam_vit_b_mine.pth", "yolov8n-seg.pt")
    named = [str(tmp_path / name) for name in ("best.tflite", "sam_vit_b_mine.pth")]
    monkeypatch.setenv("MKGAN_WEIGHTS", os.pathsep.join(named))
    assert [path.name for path in weights.available("yolo")] == ["best.tflite"]
    assert [path.name for path in weights.available("sam")] == ["sam_vit_b_mine.pth"]
    monkeypatch.setenv("MKGAN_WEIGHTS", str(tmp_path / "yolov8n-seg.pt"))  # used because it was asked for
    assert [path.name for path in weights.available("yolo")] == ["yolov8n-seg.pt"]
    assert [path.name for path in weights.available("yolo-seg")] == ["yolov8n-seg.pt"]
    assert len(weights.all_available()) == 1


def test_an_exported_folder_is_one_set_of_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    export = folder / "yolov8n_openvino_model"
    export.mkdir()
    put(export, "yolov8n.xml", "yolov8n.bin")
    before = weights.verify(export)
    put(export, "metadata.yaml")
    os.utime(export, ns=(1, 1))
    assert weights.verify(export) != before
    assert weights.available("yolo") == [export]
    monkeypatch.setenv("MKGAN_WEIGHTS", str(export))
    assert weights.available("yolo") == [export]


def test_places_that_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKGAN_WEIGHTS", str(tmp_path / "nowhere"))
    with pytest.raises(WeightsError, match="nowhere"):
        weights.available("yolo")
    put(tmp_path, "notes.txt")
    monkeypatch.setenv("MKGAN_WEIGHTS", str(tmp_path / "notes.txt"))
    with pytest.raises(WeightsError, match=r"notes\.txt.*sam_vit_\*\.pth"):
        weights.available("yolo")


@pytest.mark.parametrize(
    ("segmenter", "file"),
    [
        ("yolo", "yolov8n.pt"),
        ("yolo-grabcut", "yolov8n.pt"),
        ("sam", "sam_vit_h_4b8939.pth"),
        ("yolo-seg", "yolov8n-seg.pt"),
        ("faster-rcnn", "fasterrcnn_resnet50_fpn_coco-258fb6c6.pth"),
        ("mask-rcnn", "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"),
    ],
)
def test_without_weights_the_message_says_which_file_to_put_where(segmenter: str, file: str) -> None:
    with pytest.raises(WeightsError) as caught:
        parts.check_ready("segmenter", segmenter)
    said = str(caught.value)
    for datum in (file, "https://", str(cache_folder()), "MKGAN_WEIGHTS"):
        assert datum in said
    assert ("mkgan weights pull" in said) == (segmenter != "yolo-seg")  # no hash of it is known, so none is pulled


def test_damaged_weights_are_refused_before_anything_starts(folder: Path) -> None:
    put(folder, "sam_vit_b_01ec64.pth")
    with pytest.raises(WeightsError, match=r"sam_vit_b_01ec64\.pth.*ec2df627"):
        weights.require("sam")
    with pytest.raises(WeightsError, match=r"sam_vit_b_01ec64\.pth"):
        parts.check_ready("segmenter", "sam")


def test_a_replaced_file_is_read_again(folder: Path) -> None:
    put(folder, "yolo.onnx")
    before = weights.verify(folder / "yolo.onnx")
    (folder / "yolo.onnx").write_bytes(b"something else")
    assert weights.verify(folder / "yolo.onnx") != before


def test_a_format_without_its_package(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(folder, "yolo.engine")
    with pytest.raises(ConfigError, match="tensorrt"):
        parts.check_ready("segmenter", "yolo")
    assert parts.resolve_auto() == "fft-texture"


def test_auto_takes_the_best_at_hand(folder: Path) -> None:
    assert method.parse("multi-kernelgan+zssr").segmenter == "fft-texture"
    put(folder, "yolo.pt")
    assert method.parse("multi-kernelgan+zssr").segmenter == "yolo-grabcut"
    put(folder, "sam_vit_b_mine.pth")
    assert method.parse("multi-kernelgan+zssr").segmenter == "yolo-sam"
    assert method.parse("auto/bicubic+zssr").segmenter == "yolo-sam"


def test_weights_are_part_of_a_segmentation_s_identity(folder: Path) -> None:
    """So that different weights never share an artifact."""
    put(folder, "yolo.onnx", "sam_vit_b_mine.pth")
    before = parts.identity("segmenter", "yolo-sam", "fast")
    assert set(before["weights"]) == {"yolo", "sam"}
    (folder / "sam_vit_b_mine.pth").write_bytes(b"trained further")
    after = parts.identity("segmenter", "yolo-sam", "fast")
    assert after["weights"]["yolo"] == before["weights"]["yolo"]
    assert after["weights"]["sam"] != before["weights"]["sam"]
    assert method.parse("yolo-sam/bicubic+zssr").settings_hash("fast")
    assert "weights" not in parts.identity("segmenter", "fft-texture", "fast")
