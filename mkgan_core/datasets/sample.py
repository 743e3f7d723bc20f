"""The built-in data sets ``sample`` and ``sample-two-blur``, written into a store in the DIV2KRK layout.

Photographs come from scikit-image's own package, masks and kernel seeds from the folder ``sample_files``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from mkgan_core.datasets.file_names import image_files, mask_file
from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.datasets.layout import SCALES, Dataset
from mkgan_core.errors import DatasetError
from mkgan_core.imaging import images
from mkgan_core.imaging.degradation import degrade_by_region
from mkgan_core.machine.storage import Store, sha256

NAMES = ("sample", "sample-two-blur")
FOLDER = Path(__file__).parent / "sample_files"


def open_sample(name: str, store: Store) -> Dataset:
    """The data set, built on first use; its folder's name holds a hash of what it was built from.

    Raises:
        DatasetError: if the folder ``sample_files`` is missing.
    """
    try:
        manifest = (FOLDER / "manifest.json").read_bytes()
        masks = {path.stem: path.read_bytes() for path in sorted((FOLDER / "masks").glob("*.png"))}
    except OSError as fault:
        raise DatasetError(f"the sample needs {FOLDER}: {fault}; install mkgan again") from fault
    folder = f"datasets/{name}-{sha256(manifest + b''.join(masks.values()))[:12]}"
    if not store.exists(f"{folder}/manifest.json"):
        for entry in json.loads(manifest)["images"]:
            _build(entry, masks[entry["name"]], Store(store.uri_of(folder)), two_blurs=name == "sample-two-blur")
        store.write(f"{folder}/manifest.json", manifest)  # last: its presence says that the rest is there
    return Dataset(store.uri_of(folder), name)


def _build(entry: dict[str, Any], mask_png: bytes, target: Store, two_blurs: bool) -> None:
    from skimage import data

    name = entry["name"]
    picture = getattr(data, entry["source"])()
    picture = picture[0] if isinstance(picture, tuple) else picture
    mask = images.decode_mask(mask_png, name)
    high = picture[: mask.shape[0], : mask.shape[1]].astype(np.float32) / 255
    seeds = {"background": entry["object_seed"]}
    if two_blurs:
        seeds = {"background": entry["background_seed"], "object": entry["object_seed"]}
    blurs = {
        scale: {region: random_kernel(np.random.default_rng(seed), scale) for region, seed in seeds.items()}
        for scale in SCALES
    }
    lows = {scale: degrade_by_region(high, mask, found, scale) for scale, found in blurs.items()}
    for file, content in image_files(name, high, lows, blurs):
        target.write(file, content)
    target.write(mask_file(name), mask_png)
