"""What a run's images are like: where they lie, and how different their regions are.

`images.parquet` beside a report has one row per image and scale: the files behind it, with the hashes that the run saw,
and the properties by which `mkgan_core.statistics` splits a comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from mkgan_core import datasets, images, kernels
from mkgan_core.datasets import FileRef, ImageSpec
from mkgan_core.jobs import Job, Record
from mkgan_core.storage import Store

if TYPE_CHECKING:
    import pandas as pd

_FILES = ("low", "high", "mask", "kernel", "object_kernel")
COLUMNS = (
    "run_id dataset image scale height width "
    + " ".join(f"{file}_uri {file}_sha256" for file in _FILES)
    + " object_share blur_difference texture texture_difference"
).split()


@dataclass(frozen=True)
class DescribeJob(Job):
    """Measure an image; record:

    ``texture``: mean gradient of the luma at low resolution, in grey levels (of 219) per pixel. ``object_share``: of
    the data set's mask. ``texture_difference``: between object and background, in octaves. ``blur_difference``: half
    the summed absolute difference of the two true kernels, 0 (the same) to 1 (nothing in common); 0 for one kernel.
    What the data set does not tell is None.
    """

    step: ClassVar[str] = "describe"
    version: ClassVar[int] = 1

    @property
    def label(self) -> str:
        return f"describe {self.spec.image}"

    def depends_on(self) -> Record:
        files = {"low": self.spec.low, "mask": self.spec.mask, **self.spec.truth}
        hashes = {name: reference and reference.sha256 for name, reference in files.items()}
        return {"version": self.version, "scale": self.spec.scale, "files": hashes}

    def compute(self, store: Store) -> Record:
        gradient = np.hypot(*np.gradient(images.luma(datasets.load_low(self.spec))))
        mask = datasets.given_masks(self.spec).get("object")
        found: Record = {"texture": float(gradient.mean()), "object_share": None, "texture_difference": None}
        if mask is not None:
            found["object_share"] = float(mask.mean())
            if 0 < mask.mean() < 1:
                inside, outside = gradient[mask].mean(), gradient[~mask].mean()
                found["texture_difference"] = float(abs(np.log2((inside + 1e-6) / (outside + 1e-6))))
        return {**found, "blur_difference": self._blur_difference()}

    def _blur_difference(self) -> float | None:
        if "background" not in self.spec.truth:
            return None
        if "object" not in self.spec.truth:
            return 0.0
        blurs = [kernels.decode(datasets.read(ref), ref.uri) for ref in self.spec.truth.values()]
        size = max(map(len, blurs))
        a, b = (kernels.resize_support(kernels.adopt(blur, self.spec.scale), size) for blur in blurs)
        return float(np.abs(a - b).sum() / 2)


def row(spec: ImageSpec, run_id: str, properties: Record) -> dict[str, Any]:
    """The image's row of `images.parquet`."""
    files = {
        "low": spec.low,
        "high": spec.high,
        "mask": spec.mask,
        "kernel": spec.truth.get("background"),
        "object_kernel": spec.truth.get("object"),
    }
    return {
        "run_id": run_id,
        "dataset": spec.dataset,
        "image": spec.image,
        "scale": spec.scale,
        "height": spec.shape[0],
        "width": spec.shape[1],
        **{f"{name}_uri": reference and reference.uri for name, reference in files.items()},
        **{f"{name}_sha256": reference and reference.sha256 for name, reference in files.items()},
        **{name: properties.get(name) for name in COLUMNS[-4:]},
    }


def spec_of(row: dict[str, Any]) -> ImageSpec:
    """The image of a row of `images.parquet`."""
    files = {name: FileRef(row[f"{name}_uri"], row[f"{name}_sha256"]) for name in _FILES if row[f"{name}_uri"]}
    truth = {"background": files.get("kernel"), "object": files.get("object_kernel")}
    return ImageSpec(
        dataset=row["dataset"],
        image=row["image"],
        scale=int(row["scale"]),
        low=files["low"],
        high=files.get("high"),
        truth={name: reference for name, reference in truth.items() if reference},
        mask=files.get("mask"),
        shape=(int(row["height"]), int(row["width"])),
    )


def with_found_objects(images: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """The rows with ``object_share`` filled in, where the data set has no masks, by what segmenters found: the part of
    the image that is not background, on average over the methods of several regions."""
    place = ["image", "scale"]
    one_seed: Any = regions.drop_duplicates([*place, "method", "region"])
    background: Any = one_seed[one_seed["region"] == "background"].set_index([*place, "method"])["area_px"]
    whole: Any = one_seed.groupby([*place, "method"])["area_px"].sum().reindex(background.index)
    found = (1 - background / whole).groupby(level=place).mean()
    share = images.set_index(place)["object_share"]
    return images.assign(object_share=share.fillna(found.reindex(share.index)).to_numpy(float))
