"""The pictures of a report's page: small copies, details, region overlays and kernels, as data URIs.

A page with a hundred images must still open, so one size is chosen for all small copies, by what the first ones cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from mkgan_core.datasets.layout import load_low, read_reference, true_kernel
from mkgan_core.errors import MkganError
from mkgan_core.imaging import kernel_files
from mkgan_core.imaging.images import decode_mask, decode_pixels, to_uint8
from mkgan_core.imaging.kernels import COMPARISON_SIZE, centre, resize_support
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.machine.cores import cores
from mkgan_core.reports.contact_sheet import CELL, busiest
from mkgan_core.reports.embedded import fit, heat, overlay, small, webp, webp_uri
from mkgan_core.reports.image_rows import spec_of
from mkgan_core.reports.runs import BASELINE, Run, read_file, records

BUDGET_BYTES = 24_000_000  # of all pictures of a page, before base64 makes them a third larger
TRUTH = "truth"
MAX_SIDE, MIN_SIDE = 1024, 200  # pixels, of the small copies
_QUALITY, _DETAIL_QUALITY = 80, 92  # of WebP, to 100


def pictures(run: Run) -> Iterator[dict[str, Any]]:
    """For each image of a run, in the report's order, what the page shows of it.

    Each has ``image``, ``scale``, ``size`` (width, height of the small copies), ``full`` (of the images), ``detail_at``
    (left, top, side of the detail), and

    - ``small`` and ``detail``: {method, `bicubic` or ``truth``: data URI};
    - ``overlays``: [{"methods": [...], "uri": ...}], one per segmentation into several regions;
    - ``kernels``: [{"method", "region", "uri", "psnr", "note"}], the true ones first, as method ``truth``; all kernels
      of an image share one colour scale;
    - ``missing``: why there are no pictures, or None.
    """
    side = copy_side(run)

    def show(row: dict[str, Any]) -> dict[str, Any]:
        try:
            return _Exhibit(run, row).show(side)
        except MkganError as fault:  # files that are gone or have changed: the figures stay
            return {"image": row["image"], "scale": row["scale"], "missing": str(fault)}

    # decoding, reducing and encoding run outside Python's lock; what waits to be taken keeps to the budget
    with ThreadPoolExecutor(cores()) as pool:
        yield from pool.map(show, records(run.images))


class _Exhibit:
    """One image at one scale: what every method made of it with the first seed that succeeded."""

    def __init__(self, run: Run, row: Mapping[str, Any]) -> None:
        self.spec = spec_of(row)
        rows, regions = (
            table[(table["image"] == row["image"]) & (table["scale"] == row["scale"])]
            for table in (run.rows, run.regions)
        )
        done = rows[(rows["status"] == "ok") & rows["output_uri"].notna()].drop_duplicates("method")
        self.outputs: dict[str, str] = dict(zip(done["method"], done["output_uri"], strict=True))
        self.parts = regions.merge(done[["method", "seed", "estimator"]], on=["method", "seed"])

    def load(self) -> dict[str, np.ndarray]:
        """Baseline, methods, truth: uint8 (H, W, 3), all of the size of the smallest."""
        loaded = {name: decode_pixels(read_file(uri), uri) for name, uri in self.outputs.items()}
        loaded = {BASELINE: loaded.pop(BASELINE) if BASELINE in loaded else self._baseline(), **loaded}
        if self.spec.high is not None:
            loaded[TRUTH] = decode_pixels(read_reference(self.spec.high), self.spec.high.uri)
        height = min(picture.shape[0] for picture in loaded.values())
        width = min(picture.shape[1] for picture in loaded.values())
        return {name: picture[:height, :width] for name, picture in loaded.items()}

    def _baseline(self) -> np.ndarray:
        from mkgan_core.upscalers.interpolation import Bicubic

        return to_uint8(Bicubic().upscale(load_low(self.spec), whole(self.spec.shape), None, self.spec.scale))

    def show(self, side: int) -> dict[str, Any]:
        """What `pictures` yields for the image.

        Args:
            side: longer side of the small copies, pixels.
        """
        loaded = self.load()
        window = busiest(loaded)
        baseline = loaded[BASELINE]
        size = fit(baseline.shape, side)
        return {
            "image": self.spec.image,
            "scale": self.spec.scale,
            "size": size,
            "full": (baseline.shape[1], baseline.shape[0]),
            "detail_at": [window[1].start, window[0].start, CELL],
            "small": {name: webp_uri(small(picture, size), _QUALITY) for name, picture in loaded.items()},
            "detail": {name: webp_uri(picture[window], _DETAIL_QUALITY) for name, picture in loaded.items()},
            "overlays": self._overlays(size),
            "kernels": self._kernels(),
            "missing": None,
        }

    def _overlays(self, size: tuple[int, int]) -> list[dict[str, Any]]:
        by_segmentation: dict[tuple[str, ...], list[str]] = {}
        for name, group in self.parts.groupby("method", sort=False):
            if len(group) > 1 and group["mask_uri"].notna().all():
                objects = group[group["region"] != "background"]
                by_segmentation.setdefault(tuple(objects["mask_uri"]), []).append(str(name))
        return [
            {"methods": names, "uri": overlay([decode_mask(read_file(uri), uri) for uri in masks], size)}
            for masks, names in by_segmentation.items()
        ]

    def _kernels(self) -> list[dict[str, Any]]:
        """The estimated kernels beside the true ones of their regions."""
        estimated: list[tuple[dict[str, Any], np.ndarray]] = []
        truths: list[tuple[list[str], np.ndarray]] = []  # each distinct true kernel, and the regions that have it
        with_kernel = self.parts[self.parts["kernel_uri"].notna() & (self.parts["estimator"] != "ground-truth")]
        for part in records(with_kernel):
            if (truth := self._truth(part)) is not None:
                names = next((names for names, other in truths if np.array_equal(truth, other)), None)
                if names is None:
                    truths.append(([part["region"]], truth))
                elif part["region"] not in names:
                    names.append(part["region"])
            psnr = part["kernel_psnr"] and round(part["kernel_psnr"], 1)
            about = {"method": part["method"], "region": part["region"], "psnr": psnr, "note": part["fallback"]}
            estimated.append((about, kernel_files.decode(read_file(part["kernel_uri"]), part["kernel_uri"])))
        about_truth = {"method": TRUTH, "psnr": None, "note": None}
        entries = [({**about_truth, "region": ", ".join(names)}, truth) for names, truth in truths] + estimated
        if not entries:
            return []
        longest = max(len(kernel) for _, kernel in entries)
        support = COMPARISON_SIZE if self.spec.scale == 2 else longest
        aligned = [centre(resize_support(kernel, support), self.spec.scale) for _, kernel in entries]
        top = max(float(kernel.max()) for kernel in aligned)
        return [{**about, "uri": heat(k / top)} for (about, _), k in zip(entries, aligned, strict=True)]

    def _truth(self, part: Mapping[str, Any]) -> np.ndarray | None:
        """The true kernel (K, K) of a region, None where the data set has none."""
        mask = part["mask_uri"]
        region = Region(part["region"], decode_mask(read_file(mask), mask)) if mask else whole(self.spec.shape)
        truth = true_kernel(self.spec, region)
        return truth.array if truth else None


def copy_side(run: Run) -> int:
    """Longer side of the small copies, in pixels, with which the page keeps its budget."""
    details = 9_000  # bytes, a detail of 192 pixels
    each = len(dict.fromkeys([BASELINE, *run.rows["method"], TRUTH]))
    count = max(1, len(run.images) * each)
    costs, aspects = [], []
    for row in records(run.images.head(3)):
        try:
            spec = spec_of(row)
            reference = spec.high or spec.low
            picture = decode_pixels(read_reference(reference), reference.uri)
        except MkganError:
            continue
        size = fit(picture.shape, 512)
        costs.append(len(webp(small(picture, size), _QUALITY)) / (size[0] * size[1]))
        aspects.append(min(size) / max(size))
    if not costs:
        return MAX_SIDE
    pixels = max(BUDGET_BYTES / count - details, 1000) / max(costs)
    return int(np.clip(np.sqrt(pixels / np.mean(aspects)), MIN_SIDE, MAX_SIDE))
