"""The images of a run: the rows of `images.parquet`, one per image and scale.

A row contains the files of an image with their hashes at the time of the run, and the properties by which
`reports.statistics` splits a comparison.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mkgan_core.datasets.file_names import kernel_file, mask_file
from mkgan_core.datasets.layout import FileRef, ImageSpec
from mkgan_core.errors import DatasetError
from mkgan_core.pipeline.records import DescribeRecord
from mkgan_core.reports.statistics import PLACE, PROPERTIES

if TYPE_CHECKING:
    import pandas as pd

_FILES = ("low", "high", "mask", "kernel", "object_kernel")


def row(spec: ImageSpec, run_id: str, properties: DescribeRecord | None) -> dict[str, Any]:
    """The image's row of `images.parquet`.

    Args:
        spec: the image.
        run_id: the run's id.
        properties: from `DescribeJob`; None if the image could not be measured.

    Example:
        >>> spec = ImageSpec("sample", "cat", 2, FileRef("file:///cat.png", "9f8e"), None, {}, None, (90, 120))
        >>> made = row(spec, "run-1", None)
        >>> made["low_uri"], made["height"], made["texture"]
        ('file:///cat.png', 90, None)
        >>> spec_of(made) == spec
        True
    """
    files = {
        "low": spec.low,
        "high": spec.high,
        "mask": spec.mask,
        "kernel": spec.truth.get("background"),
        "object_kernel": spec.truth.get("object"),
    }
    measured: Mapping[str, Any] = properties or {}
    return {
        "run_id": run_id,
        "dataset": spec.dataset,
        "image": spec.image,
        "scale": spec.scale,
        "height": spec.shape[0],
        "width": spec.shape[1],
        **{f"{name}_uri": reference and reference.uri for name, reference in files.items()},
        **{f"{name}_sha256": reference and reference.sha256 for name, reference in files.items()},
        **{name: measured.get(name) for name in PROPERTIES},
        "more_objects": _more_objects(spec),
    }


def _more_objects(spec: ImageSpec) -> str | None:
    """The hashes of the further objects' masks and kernels as JSON; None if there are none."""
    objects = {
        name: {"mask": mask.sha256, "kernel": spec.truth[name].sha256 if name in spec.truth else None}
        for name, mask in spec.more_masks.items()
    }
    return json.dumps(objects) if objects else None


def spec_of(row: Mapping[str, Any]) -> ImageSpec:
    """The image of a row of `images.parquet`.

    Raises:
        DatasetError: if the row lacks the image's file or size, or the files of further objects are not valid.
    """
    files = {name: FileRef(row[f"{name}_uri"], row[f"{name}_sha256"]) for name in _FILES if row[f"{name}_uri"]}
    if "low" not in files or not row["height"] or not row["width"]:
        raise DatasetError(f"images.parquet lacks the file or the size of {row['image']}; run the benchmark again")
    truth = {"background": files.get("kernel"), "object": files.get("object_kernel")}
    more_masks, more_truths = _further_objects(row)
    return ImageSpec(
        dataset=row["dataset"],
        image=row["image"],
        scale=int(row["scale"]),
        low=files["low"],
        high=files.get("high"),
        truth={name: reference for name, reference in truth.items() if reference} | more_truths,
        mask=files.get("mask"),
        shape=(int(row["height"]), int(row["width"])),
        more_masks=more_masks,
    )


def _further_objects(row: Mapping[str, Any]) -> tuple[dict[str, FileRef], dict[str, FileRef]]:
    """The masks and the true kernels of the further objects in a row of `images.parquet`."""
    image, masks, truths = row["image"], {}, {}
    try:
        for name, hashes in json.loads(row["more_objects"] or "{}").items():
            root = row["mask_uri"].removesuffix(mask_file(image))
            masks[name] = FileRef(root + mask_file(image, name), hashes["mask"])
            if hashes["kernel"]:
                truths[name] = FileRef(root + kernel_file(image, int(row["scale"]), name), hashes["kernel"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        raise DatasetError(f"images.parquet: more_objects of {image} is damaged; run the benchmark again") from fault
    return masks, truths


def with_found_objects(images: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """The rows of `images.parquet`, with ``object_share`` filled in if the data set has no masks.

    It is then the share of the image that the segmenters did not mark as background, averaged over the methods that
    split the image.

    Args:
        images: rows of `images.parquet`.
        regions: rows of `regions.parquet`.
    """
    one_seed = regions.drop_duplicates([*PLACE, "method", "region"])
    background = one_seed[one_seed["region"] == "background"].set_index([*PLACE, "method"])["area_px"]
    whole = one_seed.groupby([*PLACE, "method"])["area_px"].sum().reindex(background.index)
    share_found = (1 - background / whole).groupby(level=PLACE).mean()
    share = images.set_index(PLACE)["object_share"]
    return images.assign(object_share=share.fillna(share_found.reindex(share.index)).to_numpy(float))
