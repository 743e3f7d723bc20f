"""Making data sets in the DIV2KRK layout from any folder of photographs (method.md §7), seeded and resumable.

Random draws depend only on the seed and the image's name, so adding images later does not change the others. An image
is finished when ``records/<id>.json`` exists, which is written after its files. ``law.json`` is the first file of a
data set and ``manifest.json`` the last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mkgan_core.datasets.file_names import (
    PICTURES,
    check_name,
    image_files,
    kernel_file,
    mask_file,
    natural,
    object_region,
    stem,
)
from mkgan_core.datasets.kernel_laws import random_kernel, random_motion_kernel
from mkgan_core.datasets.manifest import is_whole, read_json
from mkgan_core.datasets.object_masks import MOST_OBJECTS, MaskSource
from mkgan_core.errors import ArtifactError, ConfigError, DatasetError, StorageError
from mkgan_core.imaging import images, kernels, recording
from mkgan_core.imaging.degradation import degrade_by_region
from mkgan_core.imaging.images import Image
from mkgan_core.machine.storage import Store, content_key, sha256

KINDS = {
    "div2krk": "one kernel per image: Gaussian, variances U(0.6, 5) px^2, any angle, up to 25 % noise per entry",
    "two-blur": "two kernels of the law div2krk per image: one on the object, one behind it",
    "motion": "one motion blur per image",
}
FORMAT = 1  # of law.json, the records and the manifest; raise it when the same options give another data set
_MULTIPLE = 4  # images are cropped to multiples of this, so that both scales cover them exactly
_MIN_SIDE = 64


@dataclass(frozen=True)
class Law:
    """How the images are degraded.

    Attributes:
        kind: a key of `KINDS`.
        scales: any of 2 and 4.
        seed: random seed.
        noise: standard deviation of white noise on the low-resolution images, on the 0-255 scale.
        jpeg: their JPEG quality; None for no compression.
        motion_kernels: SHA-256 of the file with motion kernels; None for random paths.
        masks: the source of object masks, in words and hashes; None without masks.

    Raises:
        ConfigError: for invalid values.
    """

    kind: str
    scales: tuple[int, ...]
    seed: int = 0
    noise: float = 0.0
    jpeg: int | None = None
    motion_kernels: str | None = None
    masks: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"--kind '{self.kind}': choose {', '.join(KINDS)}")
        if not 0 <= self.noise <= 100:
            raise ConfigError(f"--noise {self.noise}: give a standard deviation between 0 and 100 (of 255)")
        if self.jpeg is not None and not 1 <= self.jpeg <= 95:
            raise ConfigError(f"--jpeg {self.jpeg}: give a quality between 1 and 95")
        if self.seed < 0:
            raise ConfigError(f"--seed {self.seed}: give a whole number, 0 or larger")
        if (self.kind == "two-blur") != (self.masks is not None):
            remedy = "needs --masks or --weights" if self.masks is None else "does not use --masks or --weights"
            raise ConfigError(f"--kind {self.kind} {remedy}; only --kind two-blur uses object masks")
        if self.motion_kernels and self.kind != "motion":
            raise ConfigError(f"--kernels works only with --kind motion, not {self.kind}; leave out one of them")


@dataclass(frozen=True)
class Photograph:
    """A high-resolution image: its ID, its file's name and the file's SHA-256."""

    image: str
    name: str
    sha256: str


class DatasetMaker:
    """Makes one data set.

    Args:
        photographs: folder or URL of the high-resolution images.
        out: folder or URL of the data set: a new one, or one started with the same law.
        law: how the images are degraded.
        masks: the object masks of a two-blur set.
        motion_kernels: (K, K) kernels to draw from, K odd; empty for random paths.

    Raises:
        DatasetError: if there are no images, one cannot be read, or ``out`` contains something else.
    """

    def __init__(
        self,
        photographs: str,
        out: str,
        law: Law,
        masks: MaskSource | None = None,
        motion_kernels: Sequence[np.ndarray] = (),
    ) -> None:
        self.law, self.masks, self.motion_kernels = law, masks, motion_kernels
        try:
            self.source = Store(photographs)
            self.photographs = self._photographs()
            self.target = Store(out, option="folder for the data set")
            self._check_target()
            self.target.check_writable()
        except StorageError as fault:
            raise DatasetError(f"{fault}; choose readable photographs and a writable folder") from fault

    def make(self, on_image: Callable[[dict[str, Any], bool], None] = lambda record, was_done: None) -> dict[str, Any]:
        """Make what is missing.

        Args:
            on_image: called with each image's record, and with whether it was finished before.

        Returns:
            The manifest, as it is written.
        """
        self.target.write("law.json", _pretty(self._law()))
        records = []
        for photograph in self.photographs:
            key = self._key(photograph)
            record = self._finished(photograph, key)
            was_done = record is not None
            if record is None:
                record = {"key": key, **self._make(photograph)}
                self.target.write(self._record_name(photograph), _pretty(record))
            on_image(record, was_done)
            records.append({name: value for name, value in record.items() if name != "key"})
        manifest = {
            **self._law(),
            "images": [record for record in records if record["files"]],
            "left_out": [record for record in records if not record["files"]],
        }
        self.target.write("manifest.json", _pretty(manifest))
        return manifest

    def _photographs(self) -> list[Photograph]:
        found: dict[str, Photograph] = {}
        kernels_of: dict[str, str] = {}  # name of a kernel's file -> photograph
        for name in sorted((n for n in self.source.list("") if n.lower().endswith(PICTURES)), key=natural):
            check_name(name)
            data = self.source.read(name)
            image, (height, width) = stem(name), images.picture_size(data, self.source.uri_of(name))
            # no two images may share a file name, not even with the kernel of an object; whoever reads a two-blur set
            # looks for the kernels of further objects, too
            own = _kernel_names(image, 1 if self.masks is None else MOST_OBJECTS)
            if clash := next((kernels_of[kernel] for kernel in own if kernel in kernels_of), None):
                raise DatasetError(f"{clash} and {name} in {self.source.uri} would share a kernel file; rename one")
            kernels_of |= dict.fromkeys(own, name)
            if min(height, width) < _MIN_SIDE:
                raise DatasetError(
                    f"{self.source.uri_of(name)} is {width}x{height} pixels, but at least {_MIN_SIDE} each way are "
                    "needed; remove it"
                )
            found[image] = Photograph(image, name, sha256(data))
        if not found:
            raise DatasetError(f"no images in {self.source.uri}; name a folder with {', '.join(PICTURES)} files")
        if self.masks is not None:
            self.masks.check(list(found))
        return list(found.values())

    def _check_target(self) -> None:
        """Check that the folder is new, or a data set with the same law; folders with other files are left alone."""
        present = [name for name in self.target.list("") if not name.endswith(".part")]
        if "law.json" in present:
            before = read_json(self.target.read("law.json"), self.target.uri_of("law.json"))
            if before != (wanted := json.loads(_pretty(self._law()))):
                names = sorted({*before, *wanted})
                changed = [
                    f"{n} {before.get(n)} (now {wanted.get(n)})" for n in names if before.get(n) != wanted.get(n)
                ]
                raise DatasetError(
                    f"{self.target.uri} contains a data set made with {'; '.join(changed)}; "
                    "use the same options to continue it, or choose another folder"
                )
        elif present:
            raise DatasetError(f"{self.target.uri} is not empty and not a data set of mkgan; choose another folder")

    def _law(self) -> dict[str, Any]:
        about = KINDS[self.law.kind]
        if self.law.kind == "motion":
            about += " from the file's motion kernels" if self.motion_kernels else ": random paths on 13 x 13 px"
        if self.masks is not None and self.masks.per_object:
            about = "a kernel of the law div2krk for each object of an image, and one behind them"
        return {"format": FORMAT, **asdict(self.law), "about": f"{about}; x4 is x2 applied twice"}

    def _key(self, photograph: Photograph) -> str:
        mask = self.masks.identity(photograph.image) if self.masks else None
        return content_key({**self._law(), "image": photograph.image, "source": photograph.sha256, "mask": mask})

    def _record_name(self, photograph: Photograph) -> str:
        return f"records/{photograph.image}.json"

    def _finished(self, photograph: Photograph, key: str) -> dict[str, Any] | None:
        """The record of an image made from the same inputs, if the record and the image's files are undamaged."""
        name = self._record_name(photograph)
        try:
            record = read_json(self.target.read(name), name)
        except (DatasetError, ArtifactError):
            return None
        if record.get("key") != key or not {"image", "source", "files", "kernels", "note"} <= record.keys():
            return None
        return record if is_whole(self.target, record["files"]) else None

    def _make(self, photograph: Photograph) -> dict[str, Any]:
        """Write an image's files; return the record without its key."""
        data = self.source.read(photograph.name)
        high = images.decode(data, self.source.uri_of(photograph.name))
        record: dict[str, Any] = {
            "image": photograph.image,
            "source": {"name": photograph.name, "sha256": photograph.sha256},
            "files": {},
            "kernels": [],
            "note": None,
        }
        if sha256(data) != photograph.sha256:
            raise DatasetError(f"{self.source.uri_of(photograph.name)} changed during the command; start again")
        objects = []
        if self.masks is not None:
            objects, record["note"] = self.masks.objects(photograph.image, high)
            if not objects:
                return record
        height, width = (side // _MULTIPLE * _MULTIPLE for side in high.shape[:2])
        high = high[:height, :width]
        masks = {object_region(number): mask[:height, :width] for number, mask in enumerate(objects, 1)}
        regions = ("background", *masks)
        scales = sorted(self.law.scales)
        blurs = {
            scale: {region: self._kernel(photograph.image, region, scale) for region in regions} for scale in scales
        }
        lows = {scale: self._low(photograph.image, high, masks, blurs[scale], scale) for scale in scales}
        for name, content in image_files(photograph.image, high, lows, blurs, masks):
            self.target.write(name, content)
            record["files"][name] = sha256(content)
        if self.masks is not None and self.masks.per_object:
            self._remove_objects(photograph.image, len(masks) + 1)
        record["kernels"] = [
            {
                "file": kernel_file(photograph.image, scale, region),
                "scale": scale,
                "region": region,
                "size": len(kernel),
                "covariance": np.round(kernels.covariance(kernel), 4).tolist(),
            }
            for scale in scales
            for region, kernel in blurs[scale].items()
        ]
        return record

    def _remove_objects(self, image: str, number: int) -> None:
        """Remove the files of the image's objects from this number on, left by a time when it had more objects."""
        while self.target.exists(mask_file(image, region := object_region(number))):
            for scale in self.law.scales:
                self.target.remove(kernel_file(image, scale, region))
            self.target.remove(mask_file(image, region))
            number += 1

    def _low(
        self, image: str, high: Image, masks: Mapping[str, np.ndarray], blurs: Mapping[str, np.ndarray], scale: int
    ) -> Image:
        low = degrade_by_region(high, masks, blurs, scale)
        return recording.record(low, self._chance(image, f"noise x{scale}"), self.law.noise, self.law.jpeg)

    def _kernel(self, image: str, region: str, scale: int) -> np.ndarray:
        """A region's kernel; x2 and x4 use the same random draws, so that x4 is the x2 kernel applied twice."""
        rng = self._chance(image, f"kernel {region}")
        if self.law.kind != "motion":
            return random_kernel(rng, scale)
        if not self.motion_kernels:
            return random_motion_kernel(rng, scale)
        half = kernels.centre(self.motion_kernels[int(rng.integers(len(self.motion_kernels)))], 2)
        return half if scale == 2 else kernels.compose_x4(half, crop=False)

    def _chance(self, image: str, purpose: str) -> np.random.Generator:
        return np.random.default_rng(int(sha256(f"{self.law.seed}/{image}/{purpose}".encode()), 16))


def _kernel_names(image: str, objects: int) -> list[str]:
    """The names that an image's kernel files at a scale may have, if it has at most so many objects."""
    regions = ["background", *map(object_region, range(1, objects + 1))]
    return [kernel_file(image, 2, region) for region in regions]


def _pretty(content: Any) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()
