"""Weights that are programs: which files are loaded by Python's pickle, and whose word is taken for them.

Whoever made a pickle decides what runs when it is loaded. So one is loaded only if it is a published one, by its
SHA-256, or if the user says that it comes from somebody they trust: ``--trust-weights``, or ``MKGAN_TRUST_WEIGHTS=1``.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path

from mkgan_core.errors import WeightsError

VARIABLE = "MKGAN_TRUST_WEIGHTS"
_YES = ("1", "true", "t", "yes", "y", "on")  # as the command line reads its variables
_PICKLES = (".pt", ".pkl", ".pickle")  # anywhere in the name: some versions of ultralytics look no closer
# `mkgan_core.segmenters` reads these with torch.load(weights_only=True), which makes nothing but tensors
_TENSORS_ALONE = ("sam_vit_*.pth", "fasterrcnn_*.pth", "maskrcnn_*.pth")


def is_pickle(path: Path) -> bool:
    """Whether loading a file runs what is in it.

    Example:
        >>> [is_pickle(Path(name)) for name in ("yolo.pt", "model_final_1.pkl", "sam_vit_b.pth", "yolo.onnx")]
        [True, True, False, False]
    """
    if any(fnmatch(path.name, pattern) for pattern in _TENSORS_ALONE):
        return False
    return any(ending in path.name.lower() for ending in _PICKLES)


def trust_weights(yes: bool) -> None:
    """Trust pickled weights in this process and its children; False leaves what the environment says."""
    if yes:
        os.environ[VARIABLE] = "1"


def check(path: Path, sha256: str, known: Collection[str]) -> None:
    """Raise for a pickle that nobody vouches for.

    Args:
        path: the file.
        sha256: of its content.
        known: SHA-256 of published files.

    Raises:
        WeightsError: saying what to do.
    """
    if not is_pickle(path) or sha256 in known or os.environ.get(VARIABLE, "").strip().lower() in _YES:
        return
    raise WeightsError(
        f"the weights {path} are a Python pickle that is not a published one (sha256 {sha256}), and loading it runs "
        f"whatever its maker put in; if you trust where it comes from, give --trust-weights or set {VARIABLE}=1, else "
        "use a published file (`mkgan weights list`) or an export such as .onnx"
    )
