"""Trust in pickled weights, which can run code.

Loading a Python pickle runs the code in it. So a pickle is loaded only if its SHA-256 is a published one, or if the
user trusts its source: ``--trust-weights``, or ``MKGAN_TRUST_WEIGHTS=1``.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path

from mkgan_core.errors import WeightsError

VARIABLE = "MKGAN_TRUST_WEIGHTS"
_YES = ("1", "true", "t", "yes", "y", "on")  # same as for other variables of the command line
_PICKLES = (".pt", ".pkl", ".pickle")  # anywhere in the name, as some versions of ultralytics check it
# `mkgan_core.segmenters` reads these with torch.load(weights_only=True), which creates only tensors
_TENSORS_ALONE = ("sam_vit_*.pth", "fasterrcnn_*.pth", "maskrcnn_*.pth")


def is_pickle(path: Path) -> bool:
    """Whether loading a file can run code in it.

    Example:
        >>> [is_pickle(Path(name)) for name in ("yolo.pt", "model_final_1.pkl", "sam_vit_b.pth", "yolo.onnx")]
        [True, True, False, False]
    """
    if any(fnmatch(path.name, pattern) for pattern in _TENSORS_ALONE):
        return False
    return any(ending in path.name.lower() for ending in _PICKLES)


def trust_weights(yes: bool) -> None:
    """Trust pickled weights in this process and its children; False keeps the environment's setting."""
    if yes:
        os.environ[VARIABLE] = "1"


def check(path: Path, sha256: str, known: Collection[str]) -> None:
    """Check that a weights file is not an untrusted pickle.

    Args:
        path: the file.
        sha256: of its content.
        known: SHA-256 of published files.

    Raises:
        WeightsError: if it is, with a remedy.
    """
    if not is_pickle(path) or sha256 in known or os.environ.get(VARIABLE, "").strip().lower() in _YES:
        return
    raise WeightsError(
        f"the weights {path} are an unpublished Python pickle (sha256 {sha256}), and loading it can run any code; if "
        f"you trust its source, add --trust-weights or set {VARIABLE}=1; otherwise use a published file "
        "(`mkgan weights list`) or an export such as .onnx"
    )
