"""Sources of the object masks of a two-blur set: files, or YOLO on the high-resolution image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from typing_extensions import override

from mkgan_core.errors import DatasetError, MkganError, WeightsError
from mkgan_core.imaging import images
from mkgan_core.imaging.images import Image
from mkgan_core.importing import importing
from mkgan_core.machine.storage import Store, sha256
from mkgan_core.machine.weights import verify
from mkgan_core.segmenters.rules import clean
from mkgan_core.segmenters.ultralytics_api import bgr, yolo

MIN_SHARE, MAX_SHARE = 0.05, 0.9  # of the image: outside this range, one of the two blurs is hardly visible
MIN_PIECE = 0.005  # pieces and holes below this share of the image are removed
CONFIDENCE = 0.3  # 8-bit weights score low: a cow 0.35, a cat 0.44, people 0.4 to 0.7; false detections are below 0.3


class MaskSource(Protocol):
    """Provides an object mask for each image."""

    about: str
    """The source in words and hashes, for the data set's law."""

    def check(self, names: Sequence[str]) -> None:
        """Check before anything is written that there can be masks for these images."""
        ...

    def identity(self, image: str) -> str | None:
        """What an image's mask depends on, besides ``about`` and the image."""
        ...

    def mask(self, image: str, photograph: Image) -> tuple[np.ndarray | None, str | None]:
        """The mask, bool (H, W), true on the object; or None and the reason."""
        ...


class MaskFolder(MaskSource):
    """Masks drawn by hand or by another program: ``<id>.png`` of the image's size, white on the object."""

    def __init__(self, uri: str) -> None:
        self.store = Store(uri)
        self.about = "given"
        self._names = {name.rpartition(".")[0] for name in self.store.list("") if name.lower().endswith(".png")}

    def check(self, names: Sequence[str]) -> None:
        """Raises:
        DatasetError: if there is no mask for any image.
        """
        if not self._names.intersection(names):
            raise DatasetError(f"no masks in {self.store.uri}; add files such as {names[0]}.png, white on the object")

    def identity(self, image: str) -> str | None:
        return sha256(self.store.read(f"{image}.png")) if image in self._names else None

    def mask(self, image: str, photograph: Image) -> tuple[np.ndarray | None, str | None]:
        """Raises:
        DatasetError: if the mask does not have the image's size.
        """
        if image not in self._names:
            return None, f"the mask folder has no {image}.png"
        name = self.store.uri_of(f"{image}.png")
        mask = images.decode_mask(self.store.read(f"{image}.png"), name)
        if mask.shape != photograph.shape[:2]:
            (height, width), (rows, columns) = photograph.shape[:2], mask.shape
            raise DatasetError(f"{name} is {columns}x{rows}, but its image {width}x{height}; use a mask of its size")
        return _usable(mask)


class YoloMasks(MaskSource):
    """All objects that a YOLO segmentation network finds, as one mask with its holes filled.

    Args:
        weights: file of the network: an ultralytics ``.pt``, or ``.tflite`` (which needs ``ai-edge-litert``).
        confidence: minimum score of an object.

    Raises:
        WeightsError: if the file or the packages are missing, the file is not a segmentation network, or it is an
            untrusted pickle.
    """

    def __init__(self, weights: Path, confidence: float = CONFIDENCE) -> None:
        digest = verify(weights)
        self.about = f"yolo {digest} confidence {confidence}"
        self._confidence = confidence
        self._network = _load(weights, digest)

    @override
    def check(self, names: Sequence[str]) -> None:
        """Any image may contain an object."""

    @override
    def identity(self, image: str) -> str | None:
        return None

    @override
    def mask(self, image: str, photograph: Image) -> tuple[np.ndarray | None, str | None]:
        with importing:
            from scipy.ndimage import binary_fill_holes

        (found,) = self._network.predict(bgr(photograph), conf=self._confidence, retina_masks=True, verbose=False)
        if found.masks is None:
            return None, f"no object found (confidence {self._confidence})"
        union = found.masks.data.bool().any(dim=0).cpu().numpy()
        return _usable(np.asarray(binary_fill_holes(union)))


def _load(weights: Path, sha256: str) -> Any:
    try:
        network = yolo(weights, sha256, task="segment")
        network.predict(np.zeros((64, 64, 3), np.uint8), verbose=False)  # exported formats are opened here
    except ImportError as fault:
        raise WeightsError(
            f"--weights needs the packages ultralytics and, for .tflite, ai-edge-litert ({fault}); "
            "install them, or give masks with --masks"
        ) from fault
    except MkganError:
        raise
    except Exception as fault:  # loaders raise many types for damaged or foreign files
        raise WeightsError(f"{weights} is not a YOLO segmentation network ({fault}); name another file") from fault
    return network


def _usable(mask: np.ndarray) -> tuple[np.ndarray | None, str | None]:
    """The mask without specks; or None and the reason, if it is too small or too large."""
    mask = clean(mask, round(MIN_PIECE * mask.size))
    share = float(mask.mean())
    if not MIN_SHARE <= share <= MAX_SHARE:
        return None, f"the object covers {share:.1%} of the image, outside {MIN_SHARE:.0%} to {MAX_SHARE:.0%}"
    return mask, None
