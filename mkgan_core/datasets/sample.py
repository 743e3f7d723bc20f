"""The built-in data sets ``sample`` and ``sample-two-blur``, written into a store in the DIV2KRK layout.

The images come from the package scikit-image, masks and kernel seeds from the folder ``sample_files``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from mkgan_core.datasets.file_names import image_files, mask_file
from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.datasets.layout import SCALES, Dataset
from mkgan_core.datasets.manifest import NAME as MANIFEST
from mkgan_core.datasets.manifest import is_whole, read_json
from mkgan_core.errors import ArtifactError, DatasetError
from mkgan_core.imaging import images
from mkgan_core.imaging.degradation import degrade_by_region
from mkgan_core.importing import importing
from mkgan_core.machine.storage import Store, sha256

NAMES = ("sample", "sample-two-blur")
FOLDER = Path(__file__).parent / "sample_files"
BUILT = "built.json"  # image -> file -> SHA-256 of its content; files that differ are written again


def open_sample(name: str, store: Store) -> Dataset:
    """The data set; builds it on first use, and missing or damaged files again.

    Its folder's name contains a hash of its sources.

    Raises:
        DatasetError: if the folder ``sample_files`` is missing.
    """
    try:
        manifest = (FOLDER / MANIFEST).read_bytes()
        masks = {path.stem: path.read_bytes() for path in sorted((FOLDER / "masks").glob("*.png"))}
    except OSError as fault:
        raise DatasetError(f"the sample needs {FOLDER}: {fault}; install mkgan again") from fault
    folder = f"datasets/{name}-{sha256(manifest + b''.join(masks.values()))[:12]}"
    target = Store(store.uri_of(folder))
    before = _built(target)
    built = {}
    for entry in json.loads(manifest)["images"]:
        image = entry["name"]
        built[image] = before.get(image)
        if not built[image] or not is_whole(target, built[image]):
            made = dict(_files(entry, masks[image], two_blurs=name == "sample-two-blur"))
            for file, content in made.items():
                target.write(file, content)
            built[image] = {file: sha256(content) for file, content in made.items()}
    if built != before:
        target.write(BUILT, json.dumps(built, indent=1).encode())
    if not is_whole(target, {MANIFEST: sha256(manifest)}):
        target.write(MANIFEST, manifest)
    return Dataset(target.uri, name)


def _built(target: Store) -> dict[str, Any]:
    """The hashes of what was written earlier; empty if unknown."""
    try:
        return read_json(target.read(BUILT), BUILT)
    except (ArtifactError, DatasetError):
        return {}


def _files(entry: dict[str, Any], mask_png: bytes, two_blurs: bool) -> Iterator[tuple[str, bytes]]:
    """Name and content of each of an image's files."""
    with importing:
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
    lows = {scale: degrade_by_region(high, {"object": mask}, found, scale) for scale, found in blurs.items()}
    yield from image_files(name, high, lows, blurs)
    yield mask_file(name), mask_png
