"""The pictures of a report's page: small copies, details, region overlays and kernels, as data URIs.

All small copies have one size. It is estimated from the first images, so that a page with a hundred images stays small
enough to open.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from mkgan_core.datasets.layout import FileRef, load_low, read_reference
from mkgan_core.datasets.true_kernels import true_kernel
from mkgan_core.errors import MkganError
from mkgan_core.imaging import kernel_files
from mkgan_core.imaging.images import Image, decode_mask, decode_pixels, to_uint8
from mkgan_core.imaging.kernels import COMPARISON_SIZE, centre, resize_support
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.importing import importing
from mkgan_core.machine.cores import cores
from mkgan_core.machine.plain_text import one_line
from mkgan_core.reports.contact_sheet import CELL, busiest
from mkgan_core.reports.embedded import fit, heat, overlay, region_colour, small, webp, webp_uri
from mkgan_core.reports.image_rows import spec_of
from mkgan_core.reports.ranking import BASELINE
from mkgan_core.reports.roots import confined
from mkgan_core.reports.runs import Run, records

BUDGET_BYTES = 24_000_000  # for all pictures of a page, before base64 makes them a third larger
TRUTH = "truth"
INPUT = "input"
MAX_SIDE, MIN_SIDE = 1024, 200  # longer side of the small copies, in pixels
_QUALITY, _DETAIL_QUALITY = 80, 92  # of WebP, up to 100


def pictures(run: Run) -> Iterator[dict[str, Any]]:
    """The pictures of each image of a run, in the report's order.

    Each item has ``image``, ``scale``, ``size`` (width and height of the small copies), ``full`` (of the images),
    ``detail_at`` (left, top and side of the detail), and

    - ``small`` and ``detail``: {``input``, method, `bicubic` or ``truth``: data URI}; the input's pixels are squares;
    - ``overlays``: [{"methods": [...], "regions": [[name, colour], ...], "uri": ...}], one per segmentation into
      several regions;
    - ``kernels``: [{"method", "region", "uri", "psnr", "note"}], the true kernels first, as method ``truth``; all
      kernels of an image use the same colour scale;
    - ``missing``: why there are no pictures, or None;
    - ``lacking``: which pictures are missing, and why.
    """
    side = copy_side(run)

    def show(row: dict[str, Any]) -> dict[str, Any]:
        try:
            return _Exhibit(run, row).show(side)
        except Exception as fault:  # files that are missing, changed or not written by a run: show the numbers only
            return {"image": row["image"], "scale": row["scale"], "missing": one_line(_reason(fault)), "lacking": []}

    # decoding, reducing and encoding release Python's lock; the results that wait fit into the budget
    with ThreadPoolExecutor(cores()) as pool:
        yield from pool.map(show, records(run.images))


def _reason(fault: Exception) -> str:
    return str(fault) if isinstance(fault, MkganError) else f"{type(fault).__name__}: {fault}"


class _Exhibit:
    """One image at one scale, with the result of each method for the first seed that succeeded."""

    def __init__(self, run: Run, row: Mapping[str, Any]) -> None:
        self.run = run
        self.lacking: list[str] = []
        spec = spec_of(row)
        truth = {name: self._confined(f"true kernel, {name}", reference) for name, reference in spec.truth.items()}
        masks = {name: self._confined(f"mask, {name}", reference) for name, reference in spec.more_masks.items()}
        self.spec = replace(
            spec,
            high=self._confined(TRUTH, spec.high),
            mask=self._confined("mask", spec.mask),
            truth={name: reference for name, reference in truth.items() if reference},
            more_masks={name: reference for name, reference in masks.items() if reference},
        )
        rows, regions = (
            table[(table["image"] == row["image"]) & (table["scale"] == row["scale"])]
            for table in (run.rows, run.regions)
        )
        done = rows[(rows["status"] == "ok") & rows["output_uri"].notna()].drop_duplicates("method")
        self.outputs: dict[str, str] = dict(zip(done["method"], done["output_uri"], strict=True))
        self.parts = regions.merge(done[["method", "seed", "estimator"]], on=["method", "seed"])

    def _confined(self, what: str, reference: FileRef | None) -> FileRef | None:
        """The reference, if its file belongs to the data set; otherwise None, and a note is added."""
        with self._costs_itself(what):
            return reference and FileRef(confined(reference.uri, self.run.folders), reference.sha256)
        return None

    @contextmanager
    def _costs_itself(self, what: str) -> Iterator[None]:
        """If a file is missing or damaged, skip the block and add a note."""
        try:
            yield
        except Exception as fault:
            self.lacking.append(one_line(f"{what}: {_reason(fault)}"))

    def load(self) -> dict[str, np.ndarray]:
        """Input, baseline, methods and ground truth as uint8 (H, W, 3), all cropped to the smallest of them.

        Raises:
            MkganError: if there is no baseline.
        """
        made: dict[str, np.ndarray] = {}
        with self._costs_itself(INPUT):
            squares = to_uint8(self._low()).repeat(self.spec.scale, axis=0).repeat(self.spec.scale, axis=1)
            made[INPUT] = squares
        made[BASELINE] = np.empty(0)  # keeps its position in the order; filled below
        for name, uri in self.outputs.items():
            with self._costs_itself(name):
                made[name] = decode_pixels(self.run.read(uri), uri)
        if not made[BASELINE].size:
            made[BASELINE] = self._baseline()
        if self.spec.high is not None:
            with self._costs_itself(TRUTH):
                made[TRUTH] = decode_pixels(read_reference(self.spec.high), self.spec.high.uri)
        height = min(picture.shape[0] for picture in made.values())
        width = min(picture.shape[1] for picture in made.values())
        return {name: picture[:height, :width] for name, picture in made.items()}

    def _low(self) -> Image:
        confined(self.spec.low.uri, self.run.folders)
        return load_low(self.spec)

    def _baseline(self) -> np.ndarray:
        with importing:
            from mkgan_core.upscalers.interpolation import Bicubic

        return to_uint8(Bicubic().upscale(self._low(), whole(self.spec.shape), None, self.spec.scale))

    def show(self, side: int) -> dict[str, Any]:
        """The item that `pictures` yields for the image.

        Args:
            side: longer side of the small copies, in pixels.
        """
        loaded = self.load()
        window = busiest({name: picture for name, picture in loaded.items() if name != INPUT})
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
            "lacking": self.lacking,
        }

    def _overlays(self, size: tuple[int, int]) -> list[dict[str, Any]]:
        by_segmentation: dict[tuple[str, ...], list[str]] = {}
        objects_of: dict[tuple[str, ...], list[str]] = {}
        for name, group in self.parts.groupby("method", sort=False):
            if len(group) > 1 and group["mask_uri"].notna().all():
                objects = group[group["region"] != "background"]
                masks = tuple(objects["mask_uri"])
                objects_of[masks] = list(objects["region"])
                by_segmentation.setdefault(masks, []).append(str(name))
        overlays = []
        for masks, names in by_segmentation.items():
            with self._costs_itself("regions"):
                shapes = [decode_mask(self.run.read(uri), uri) for uri in masks]
                regions = [[name, f"rgb{region_colour(n)}"] for n, name in enumerate(objects_of[masks])]
                overlays.append({"methods": names, "regions": regions, "uri": overlay(shapes, size)})
        return overlays

    def _kernels(self) -> list[dict[str, Any]]:
        """The true kernels, then the estimated kernels with their PSNR against the true kernels of their regions."""
        estimated: list[tuple[dict[str, Any], np.ndarray]] = []
        truths: list[tuple[list[str], np.ndarray]] = []  # each distinct true kernel, with the names of its regions
        with_kernel = self.parts[self.parts["kernel_uri"].notna() & (self.parts["estimator"] != "ground-truth")]
        for part in records(with_kernel):
            found = part["kernel_psnr"]
            psnr = round(found, 1) if found is not None and math.isfinite(found) else None
            about = {"method": part["method"], "region": part["region"], "psnr": psnr, "note": part["fallback"]}
            with self._costs_itself(f"kernel of {part['region']} by {part['method']}"):
                estimated.append((about, kernel_files.decode(self.run.read(part["kernel_uri"]), part["kernel_uri"])))
            with self._costs_itself(f"true kernel of {part['region']}"):
                if (truth := self._truth(part)) is not None:
                    names = next((names for names, other in truths if np.array_equal(truth, other)), None)
                    if names is None:
                        truths.append(([part["region"]], truth))
                    elif part["region"] not in names:
                        names.append(part["region"])
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
        """The true kernel (K, K) of a region; None if the data set has none."""
        uri = part["mask_uri"]
        region = Region(part["region"], decode_mask(self.run.read(uri), uri)) if uri else whole(self.spec.shape)
        truth = true_kernel(self.spec, region)
        return truth.array if truth else None


def copy_side(run: Run) -> int:
    """Longer side of the small copies, in pixels, with which the page stays within its budget."""
    details = 9_000  # bytes, a detail of 192 pixels
    each = len(dict.fromkeys([INPUT, BASELINE, *run.rows["method"], TRUTH]))
    count = max(1, len(run.images) * each)
    costs, aspects = [], []
    for row in records(run.images.head(3)):
        try:
            spec = spec_of(row)
            reference = spec.high or spec.low
            confined(reference.uri, run.folders)
            picture = decode_pixels(read_reference(reference), reference.uri)
        except Exception:  # `pictures` reports it
            continue
        size = fit(picture.shape, 512)
        costs.append(len(webp(small(picture, size), _QUALITY)) / (size[0] * size[1]))
        aspects.append(min(size) / max(size))
    if not costs:
        return MAX_SIDE
    pixels = max(BUDGET_BYTES / count - details, 1000) / max(costs)
    return int(np.clip(np.sqrt(pixels / np.mean(aspects)), MIN_SIDE, MAX_SIDE))
