"""Access to ultralytics (AGPL-3.0, the extra `detect`), quiet and offline: no download, no pip, no telemetry."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mkgan_core.errors import ConfigError
from mkgan_core.imaging.images import Image, to_uint8
from mkgan_core.importing import importing
from mkgan_core.machine import weights
from mkgan_core.machine.places import cache_folder


def bgr(image: Image) -> np.ndarray:
    """Pixels as uint8 (H, W, 3) in the order that OpenCV and ultralytics expect.

    Args:
        image: (H, W, 3) in [0, 1].

    Example:
        >>> bgr(np.array([[[1.0, 0.5, 0.0]]])).tolist()
        [[[0, 128, 255]]]
    """
    return np.ascontiguousarray(to_uint8(image)[..., ::-1])


@lru_cache(maxsize=1)
def yolo(path: Path, _sha256: str, task: str | None = None) -> Any:
    """Load a YOLO network, or return the loaded one if the file has not changed.

    Args:
        path: its file, or the folder of an export.
        _sha256: of the file.
        task: ``detect`` or ``segment``; by default, the file's name decides.

    Raises:
        ConfigError: if the package that runs the format is missing.
        WeightsError: if the file cannot be loaded, or must not be (`weights.verify`).
    """
    weights.verify(path)
    if why := weights.missing_runtime(path):
        raise ConfigError(why)
    if task is None:
        task = "segment" if "-seg" in path.name else "pose" if "-pose" in path.name else "detect"  # exports do not say
    try:
        return quiet().YOLO(str(path), task=task)
    except ImportError:  # the package itself
        raise
    except Exception as fault:  # it raises many types on damaged files
        raise weights.unusable(path, "YOLO weights", fault) from fault


@lru_cache(maxsize=1)
def sam_predictor(path: Path, _sha256: str, device: str) -> Any:
    """Load SAM, SAM 2 or MobileSAM, ready for prompts.

    Raises:
        WeightsError: if the file cannot be loaded, or must not be (`weights.verify`).
    """
    with importing:
        import torch

    weights.verify(path)
    try:
        model = quiet().SAM(str(path))
        settings = {"conf": 0.0, "task": "segment", "mode": "predict", "imgsz": 1024, "retina_masks": True}
        settings |= {"save": False, "verbose": False, "device": torch.device(device)}
        predictor = model.task_map["segment"]["predictor"](overrides=settings)
        predictor.setup_model(model=model.model, verbose=False)
    except Exception as fault:
        raise weights.unusable(path, "SAM weights", fault) from fault
    return predictor


def quiet() -> Any:
    """Import ultralytics without network access, with its settings in the cache and without its global side effects."""
    with importing:
        from PIL import Image as Pillow

    quietly = {"YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
    quietly["YOLO_CONFIG_DIR"] = str(cache_folder().parent / "ultralytics")
    threads, opener, printing = os.environ.get("OMP_NUM_THREADS"), Pillow.open, np.get_printoptions()
    for name, value in quietly.items():
        os.environ.setdefault(name, value)
    import ultralytics
    import ultralytics.utils.patches

    # undo what the import changed: threads of child processes, how Pillow opens files, how numpy prints
    if threads is None:
        os.environ.pop("OMP_NUM_THREADS", None)
    Pillow.open = opener
    np.set_printoptions(**printing)
    return ultralytics
