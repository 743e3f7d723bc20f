"""The built-in data sets ``sample`` and ``sample-two-blur``, written into a store in the DIV2KRK layout.

Photographs come from scikit-image's own package, masks and kernel seeds from ``data/sample``.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mkgan_core import images, kernels
from mkgan_core.datasets import SCALES, Dataset
from mkgan_core.errors import DatasetError
from mkgan_core.storage import Store, sha256

NAMES = ("sample", "sample-two-blur")
FOLDER = Path(__file__).resolve().parent.parent / "data" / "sample"


def open_sample(name: str, store: Store) -> Dataset:
    """The data set, built on first use; its folder's name holds a hash of what it was built from.

    Raises:
        DatasetError: if the project's ``data/sample`` folder is missing.
    """
    try:
        manifest = (FOLDER / "manifest.json").read_bytes()
        masks = {path.stem: path.read_bytes() for path in sorted((FOLDER / "masks").glob("*.png"))}
    except OSError as fault:
        raise DatasetError(f"the sample needs {FOLDER}: {fault}; run mkgan from a checkout of the project") from fault
    folder = f"datasets/{name}-{sha256(manifest + b''.join(masks.values()))[:12]}"
    if not store.exists(f"{folder}/manifest.json"):
        for entry in json.loads(manifest)["images"]:
            _build(entry, masks[entry["name"]], Store(store.uri_of(folder)), two_blurs=name == "sample-two-blur")
        store.write(f"{folder}/manifest.json", manifest)  # last: its presence says that the rest is there
    return Dataset(store.uri_of(folder), name)


def _build(entry: dict, mask_png: bytes, target: Store, two_blurs: bool) -> None:
    from skimage import data

    from mkgan_core.degradation import degrade, degrade_two_blurs, random_kernel

    name = entry["name"]
    picture = getattr(data, entry["source"])()
    picture = picture[0] if isinstance(picture, tuple) else picture
    mask = images.decode_mask(mask_png, name)
    high = picture[: mask.shape[0], : mask.shape[1]].astype(np.float32) / 255
    for scale in SCALES:
        seeds = (
            {"": entry["background_seed"], "_obj": entry["object_seed"]} if two_blurs else {"": entry["object_seed"]}
        )
        blurs = {suffix: random_kernel(np.random.default_rng(seed), scale) for suffix, seed in seeds.items()}
        if two_blurs:
            low = degrade_two_blurs(high, mask, blurs["_obj"], blurs[""], scale)
        else:
            low = degrade(high, blurs[""], scale)
        for suffix, kernel in blurs.items():
            target.write(f"gt_k_x{scale}/kernel_{name}{suffix}.mat", kernels.encode_mat(kernel))
        target.write(f"lr_x{scale}/{name}.png", images.encode_png(low))
    target.write(f"masks/img{name}/obj_hr_mask.png", mask_png)
    target.write(f"gt/{name}.png", images.encode_png(high))
