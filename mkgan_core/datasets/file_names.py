"""Names and contents of the files of a data set in the DIV2KRK layout."""

from __future__ import annotations

import posixpath
import unicodedata
from collections.abc import Iterator, Mapping

import numpy as np

from mkgan_core.errors import DatasetError
from mkgan_core.imaging import images, kernel_files
from mkgan_core.imaging.images import Image

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


def low_folder(scale: int) -> str:
    """The folder of the low-resolution images at a scale.

    Example:
        >>> low_folder(2)
        'lr_x2'
    """
    return f"lr_x{scale}"


def low_file(image: str, scale: int) -> str:
    """Name of a low-resolution image in a data set."""
    return f"{low_folder(scale)}/{image}.png"


def truth_file(image: str) -> str:
    """Name of a ground truth."""
    return f"gt/{image}.png"


def object_region(number: int) -> str:
    """Name of the region of an image's nth object.

    Example:
        >>> object_region(1), object_region(2)
        ('object', 'object-2')
    """
    return "object" if number == 1 else f"object-{number}"


def mask_file(image: str, region: str = "object") -> str:
    """Name of the mask of an image's object.

    Example:
        >>> mask_file("im_13"), mask_file("im_13", "object-2")
        ('masks/img13/obj_hr_mask.png', 'masks/img13/obj2_hr_mask.png')
    """
    return f"masks/img{_number(image)}/{_short(region)}_hr_mask.png"


def kernel_folder(scale: int) -> str:
    """The folder of the true kernels at a scale."""
    return f"gt_k_x{scale}"


def kernel_file(image: str, scale: int, region: str = "background") -> str:
    """Name of a region's true kernel: that of an object, or that of the background or the whole image.

    Example:
        >>> kernel_file("im_13", 4, "object"), kernel_file("im_13", 4, "object-2")
        ('gt_k_x4/kernel_13_obj.mat', 'gt_k_x4/kernel_13_obj2.mat')
    """
    return f"{kernel_folder(scale)}/kernel_{_number(image)}{'' if region == 'background' else f'_{_short(region)}'}.mat"


def image_files(
    image: str,
    high: Image,
    lows: Mapping[int, Image],
    blurs: Mapping[int, Mapping[str, np.ndarray]],
    masks: Mapping[str, np.ndarray] | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Name and content of each of an image's files, the ground truth last.

    Args:
        image: ID.
        high: the ground truth, (H, W, 3).
        lows: scale -> low-resolution image.
        blurs: scale -> region (``background``, ``object``, ...) -> true kernel (K, K).
        masks: object (`object_region`) -> bool (H, W).
    """
    for scale, low in lows.items():
        for region, kernel in blurs[scale].items():
            yield kernel_file(image, scale, region), kernel_files.encode_mat(kernel)
        yield low_file(image, scale), images.encode_png(low)
    for region, mask in (masks or {}).items():
        yield mask_file(image, region), images.encode_png(mask)
    yield truth_file(image), images.encode_png(high)


def stem(name: str) -> str:
    """The image ID for a file's name."""
    return posixpath.splitext(name)[0]


def natural(name: str) -> tuple[str, int, str]:
    """Sort key that puts im_2 before im_13."""
    head = name.rstrip("0123456789")
    digits = name[len(head) :]
    return head, int(digits) if digits else -1, name


def check_name(name: str) -> None:
    r"""Check that reports and terminals can show a file's name, path or URL on one line.

    Raises:
        DatasetError: for control characters, such as a newline, and for bytes that are not UTF-8.

    Example:
        >>> check_name("été/im_1.png")
        >>> check_name("im_1\n.png")
        Traceback (most recent call last):
        ...
        mkgan_core.errors.DatasetError: the name 'im_1\n.png' contains a control character; rename the file
    """
    # surrogates stand for bytes that are not UTF-8; Zl and Zp break lines too
    kinds = {unicodedata.category(character) for character in name}
    if "Cs" in kinds:
        raise DatasetError(f"the name {name!r} is not in UTF-8; rename the file")
    if kinds & {"Cc", "Zl", "Zp"}:
        raise DatasetError(f"the name {name!r} contains a control character; rename the file")


def stays_inside(name: str) -> bool:
    """Whether a file name from a manifest stays inside the data set's folder.

    Example:
        >>> [stays_inside(name) for name in ("gt/im_1.png", "/etc/passwd", "gt/../../x.png", "http://host/x.png")]
        [True, False, False, False]
    """
    return bool(name) and "://" not in name and not name.startswith("/") and ".." not in name.split("/")


def _short(region: str) -> str:
    return region.replace("object", "obj").replace("-", "")


def _number(image: str) -> str:
    return image.removeprefix("im_")
