"""Pickled weights: nothing in them runs unless they are published ones, or the user trusts them."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mkgan_core.datasets.object_masks import YoloMasks
from mkgan_core.errors import WeightsError
from mkgan_core.machine import trust, weights
from mkgan_core.machine.weights import Weights
from mkgan_core.pipeline import parts
from mkgan_core.segmenters import sam, ultralytics_api
from mkgan_core.segmenters.detectors import yolo_boxes
from tests.conftest import needs

PHOTO = np.zeros((64, 64, 3), np.float32)


class Attack:
    """Makes a folder when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.fixture
def attack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes a pickle that makes the folder ``ran``, as ``torch.save`` would or plainly, under the name given."""
    monkeypatch.setenv("MKGAN_TRUST_WEIGHTS", "")

    def write(name: str) -> Path:
        import torch

        place = tmp_path / "weights" / name
        place.parent.mkdir()
        content = {"model": Attack(tmp_path / "ran")}
        if name.endswith(".pkl"):
            place.write_bytes(pickle.dumps(content))
        else:
            torch.save(content, place)
        monkeypatch.setenv("MKGAN_WEIGHTS", str(place.parent))
        return place

    return write


LOADERS: dict[str, Callable[[Path], object]] = {
    "yolo-own.pt": lambda path: yolo_boxes(PHOTO, 0.5),
    "yolo-own.PT": lambda path: ultralytics_api.yolo(path, "0"),
    "yolo-own.pth": lambda path: ultralytics_api.yolo(path, "0"),
    "yolov8n-seg.pt": lambda path: YoloMasks(path),
    "my-mobile_sam.pt": lambda path: sam.load("cpu"),
    "my-sam2.1_t.pt": lambda path: ultralytics_api.sam_predictor(path, "0", "cpu"),
    "model_final_own.pkl": lambda path: parts.build("segmenter", "detectron2", "fast").masks(PHOTO, {}),
    # these two are read by torch.load(weights_only=True), trusted or not
    "sam_vit_b_own.pth": lambda path: sam.load("cpu"),
    "fasterrcnn_own.pth": lambda path: parts.build("segmenter", "faster-rcnn", "fast").masks(PHOTO, {}),
}


@pytest.mark.parametrize("name", LOADERS)
def test_a_pickle_of_nobody_s_is_not_loaded(attack: Callable[[str], Path], tmp_path: Path, name: str) -> None:
    needs("ultralytics", "segment_anything", "torchvision")
    path = attack(name)
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")) as caught:
        LOADERS[name](path)
    assert not (tmp_path / "ran").exists()
    if trust.is_pickle(path):
        for datum in ("--trust-weights", "MKGAN_TRUST_WEIGHTS", hashlib.sha256(path.read_bytes()).hexdigest()):
            assert datum in str(caught.value)


@pytest.mark.parametrize("name", ["sam_vit_b_own.pth", "fasterrcnn_own.pth"])
def test_what_is_read_as_tensors_runs_nothing_when_trusted_either(
    attack: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    needs("ultralytics", "segment_anything", "torchvision")
    ultralytics_api.quiet()  # it changes how torch loads
    path = attack(name)
    monkeypatch.setenv("MKGAN_TRUST_WEIGHTS", "1")
    with pytest.raises(WeightsError, match=name.replace(".", r"\.")):
        LOADERS[name](path)
    assert not (tmp_path / "ran").exists()


def test_it_is_refused_before_anything_starts(attack: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    needs("ultralytics")
    attack("yolo-own.pt")
    with pytest.raises(WeightsError, match=r"yolo-own\.pt.*--trust-weights"):
        parts.check_ready("segmenter", "yolo-grabcut")
    monkeypatch.setenv("MKGAN_TRUST_WEIGHTS", "yes")
    parts.check_ready("segmenter", "yolo-grabcut")


def test_published_content_is_trusted_under_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKGAN_TRUST_WEIGHTS", "")
    path = tmp_path / "yolo-renamed.pt"
    path.write_bytes(b"as published")
    with pytest.raises(WeightsError):
        weights.verify(path)
    digest = hashlib.sha256(b"as published").hexdigest()
    entry = Weights("yolo-small", "yolo", "https://host/yolo-small.pt", 12, digest, "MIT")
    monkeypatch.setitem(weights.REGISTRY, entry.name, entry)
    assert weights.verify(path) == digest


def test_trust_is_said_once_for_this_process_and_its_children(
    attack: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = attack("yolo-own.pt")
    trust.trust_weights(False)
    with pytest.raises(WeightsError):
        weights.verify(path)
    for word in ("0", "no", "maybe"):
        monkeypatch.setenv("MKGAN_TRUST_WEIGHTS", word)
        with pytest.raises(WeightsError):
            weights.verify(path)
    trust.trust_weights(True)
    assert weights.verify(path)
    assert os.environ["MKGAN_TRUST_WEIGHTS"] == "1"


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_weights_that_are_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    path = tmp_path / "yolo-own.onnx"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    monkeypatch.setenv("MKGAN_WEIGHTS", str(path))
    for use in (weights.verify, lambda path: weights.require("yolo"), YoloMasks):
        with pytest.raises(WeightsError, match=r"yolo-own\.onnx"):
            use(path)
