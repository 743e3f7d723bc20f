"""Network weights: finds files, and verifies them before they are used.

Search order: the files and folders in ``MKGAN_WEIGHTS`` (separated as in ``PATH``), then the folder ``weights`` of the
cache, ``MKGAN_CACHE`` or ``~/.cache/mkgan``. A file is recognised by its name. Nothing is downloaded without a request
(`mkgan_core.machine.downloads`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

from mkgan_core.errors import WeightsError
from mkgan_core.machine import trust
from mkgan_core.machine.places import cache_folder
from mkgan_core.machine.published_weights import REGISTRY, Weights

# family -> patterns of file names
FAMILIES = {
    "sam": ("sam_vit_*.pth", "*sam2_[tsbl].pt", "*sam2.1_[tsbl].pt", "*mobile_sam.pt"),
    "faster-rcnn": ("fasterrcnn_*.pth",),
    "mask-rcnn": ("maskrcnn_*.pth",),
    "detectron2": ("model_final_*.pkl",),
    "yolo-seg": ("yolo*-seg*",),
    "yolo": ("yolo*", "rtdetr*"),
}
# exports that ultralytics can load: files, and folders such as yolov8n_openvino_model
YOLO_ENDINGS = (".pt", ".torchscript", ".onnx", ".engine", ".tflite", ".pb", ".mnn", ".mlpackage", "_model")
# not in the registry, because we have no hash to verify a download
SEGMENTING_YOLO = "https://github.com/ultralytics/assets/releases/download/v8.3.0/yolov8n-seg.pt"
NO_DETECTORS = ("-seg", "-pose", "-cls", "-obb", "-sem", "-depth")  # used only if named directly, not from a folder

# format of a YOLO -> the package that runs it, and how to install it; torch's formats need none
RUNTIMES = {
    ".tflite": ("ai_edge_litert", "ai-edge-litert"),
    ".onnx": ("onnxruntime", "onnxruntime"),
    "_openvino_model": ("openvino", "openvino"),
    ".engine": ("tensorrt", "tensorrt"),
    ".mnn": ("MNN", "MNN"),
    ".pb": ("tensorflow", "tensorflow"),
    "_saved_model": ("tensorflow", "tensorflow"),
}


def available(family: str) -> list[Path]:
    """The weights files of a family on this machine, best first; not yet verified.

    Raises:
        WeightsError: if ``MKGAN_WEIGHTS`` names something that does not exist, or a file of an unknown kind.
    """
    found: list[Path] = []
    for place in _named():
        with _readable(place):
            if not place.exists():
                raise WeightsError(f"--weights or MKGAN_WEIGHTS names {place}, which does not exist; correct it")
            if place.is_dir() and not place.name.endswith(YOLO_ENDINGS):
                found.extend(_in_folder(place, family))
            elif family in _families_of(place):
                found.append(place)
    with _readable(cache_folder()):
        return [*found, *_in_folder(cache_folder(), family)]


def all_available() -> list[Path]:
    """The files that would be used, of all families."""
    return list(dict.fromkeys(path for family in FAMILIES for path in available(family)))


def require(family: str) -> Path:
    """The verified weights file of a family.

    Raises:
        WeightsError: if there is none, with the file to add and its folder; or if it is damaged.
    """
    found = available(family)
    if not found:
        raise WeightsError(how_to_get(family))
    verify(found[0])
    return found[0]


def how_to_get(family: str) -> str:
    """Message for missing weights: which file to put where."""
    if family == "yolo-seg":
        return (
            f"no yolo-seg weights found: put a YOLO segmentation network, such as yolov8n-seg.pt ({SEGMENTING_YOLO}), "
            f"into {cache_folder()}, or set MKGAN_WEIGHTS to the file or its folder."
        )
    best, *others = [entry for entry in REGISTRY.values() if entry.family == family]
    choice = "".join(f", or {other.file} ({other.address})" for other in others)
    wide = " Any other YOLO file that ultralytics can load works too." if family == "yolo" else ""
    return (
        f"no {family} weights found: put {best.file} ({best.address}){choice} into {cache_folder()}, "
        f"or set MKGAN_WEIGHTS to the file or its folder, or run `mkgan weights pull {best.name}`.{wide}"
    )


def missing_runtime(path: Path) -> str | None:
    """What to install for weights in this format; None if it is installed."""
    for ending, (module, package) in RUNTIMES.items():
        if path.name.endswith(ending) and importlib.util.find_spec(module) is None:
            return f"{path.name} needs the package {package}, which is not installed: pip install {package}"
    return None


def verify(path: Path) -> str:
    """SHA-256 of a weights file, after checking that it may be loaded.

    Raises:
        WeightsError: if it cannot be read, is an untrusted pickle (`trust`), or has a published name but is not the
            published file.
    """
    found = check_published(path)
    trust.check(path, found, {entry.sha256 for entry in REGISTRY.values()})
    return found


def check_published(path: Path) -> str:
    """SHA-256 of a weights file; a file with a published name must be the published one.

    Raises:
        WeightsError: if it is not, or cannot be read.
    """
    found, entry = digest(path), published(path)
    if entry and found != entry.sha256:
        raise WeightsError(
            f"the weights {path} are damaged: sha256 {found}, published {entry.sha256}; remove the file and run "
            f"`mkgan weights pull {entry.name}` (if they are your own weights, rename the file)"
        )
    return found


def unusable(path: Path, what: str, fault: BaseException) -> WeightsError:
    """The error for weights that a library cannot load; quotes only the first sentence of the library's message."""
    why = f"{type(fault).__name__}: {str(fault).split('. ')[0].splitlines()[0] if str(fault) else 'no reason given'}"
    return WeightsError(f"cannot use {path} as {what} ({why}); replace the file")


def digest(path: Path) -> str:
    """SHA-256 of a file, or of a folder's files.

    Raises:
        WeightsError: if it cannot be read.
    """
    with _readable(path):
        state = path.stat()
        if not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):  # reading a pipe would never end
            raise WeightsError(f"the weights {path} are a device, pipe or socket, not a file; name a file")
        return _digest(path, state.st_size, state.st_mtime_ns)


def published(path: Path) -> Weights | None:
    """The registry's entry for a file's name."""
    return next((entry for entry in REGISTRY.values() if entry.file == path.name), None)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as fault:
        raise WeightsError(f"cannot read the weights {path}: {fault.strerror}; make the file readable") from fault


def _named() -> list[Path]:
    return [Path(os.path.expanduser(part)) for part in os.environ.get("MKGAN_WEIGHTS", "").split(os.pathsep) if part]


def _families_of(path: Path) -> list[str]:
    """The families for a file named by the user; any file in a format of ultralytics may be a YOLO."""
    families = [name for name, patterns in FAMILIES.items() if any(fnmatch(path.name, pattern) for pattern in patterns)]
    if families:
        return families  # a YOLO segmentation network also detects boxes
    if path.name.endswith(YOLO_ENDINGS):
        return ["yolo"]
    known = ", ".join(pattern for patterns in FAMILIES.values() for pattern in patterns)
    raise WeightsError(
        f"--weights or MKGAN_WEIGHTS names {path}, a file of unknown kind; rename it like one of {known}"
    )


def _in_folder(folder: Path, family: str) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [path for path in folder.iterdir() if any(fnmatch(path.name, p) for p in FAMILIES[family])]
    if family in ("yolo", "yolo-seg"):
        found = [p for p in found if p.name.endswith(YOLO_ENDINGS)]
    if family == "yolo":
        found = [p for p in found if not any(kind in p.name for kind in NO_DETECTORS)]
    order = [entry.file for entry in REGISTRY.values()]
    return sorted(found, key=lambda p: (order.index(p.name) if p.name in order else len(order), p.name))


@cache
def _digest(path: Path, _size: int, _changed_ns: int) -> str:
    """SHA-256 of a file, or of the files in a folder; read again only if size or modification time change."""
    if path.is_dir():
        inner = [(p, p.stat()) for p in sorted(path.rglob("*")) if p.is_file()]
        joined = "".join(f"{p.relative_to(path)} {_digest(p, s.st_size, s.st_mtime_ns)}\n" for p, s in inner)
        return hashlib.sha256(joined.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
