"""The pictures of a report's page: small copies, details, region overlays and kernels, as data URIs.

A page with a hundred images must still open, so one size is chosen for all small copies, by what the first ones cost.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from mkgan_core import datasets, environment, gallery, images, kernels, regions
from mkgan_core.errors import MkganError
from mkgan_core.image_properties import spec_of
from mkgan_core.regions import Region
from mkgan_core.runs import BASELINE, Run, read_file, records

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

BUDGET_BYTES = 24_000_000  # of all pictures of a page, before base64 makes them a third larger
TRUTH = "truth"
MAX_SIDE, MIN_SIDE = 1024, 200
_QUALITY, _DETAIL_QUALITY = 80, 92
_OVERLAY_COLOURS = ((230, 159, 0), (0, 114, 178), (0, 158, 115), (204, 121, 167), (86, 180, 233))
_OVERLAY_ALPHA = 90  # of 255


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
    with ThreadPoolExecutor(environment.cores()) as pool:
        yield from pool.map(show, records(run.images))


class _Exhibit:
    """One image at one scale: what every method made of it with the first seed that succeeded."""

    def __init__(self, run: Run, row: Mapping[str, Any]) -> None:
        self.row, self.spec = row, spec_of(dict(row))
        rows: Any = run.rows
        here: Any = rows[(rows["image"] == row["image"]) & (rows["scale"] == row["scale"]) & (rows["status"] == "ok")]
        first = here[here["output_uri"].notna()].drop_duplicates("method")
        self.outputs: dict[str, str] = dict(zip(first["method"], first["output_uri"], strict=True))
        found: Any = run.regions
        found = found[(found["image"] == row["image"]) & (found["scale"] == row["scale"])]
        self.parts: Any = found.merge(first[["method", "seed", "estimator"]], on=["method", "seed"])

    def load(self) -> dict[str, np.ndarray]:
        """Baseline, methods, truth, uint8; all of the truth's size."""
        loaded = {name: images.decode_pixels(read_file(uri), uri) for name, uri in self.outputs.items()}
        if BASELINE not in loaded:
            from mkgan_core.upscalers.interpolation import Bicubic, BicubicSettings

            whole = regions.whole(self.spec.shape)
            part = Bicubic(BicubicSettings())
            low = datasets.load_low(self.spec)
            enlarged = part.upscale(low, whole, None, self.spec.scale, seed=0, device="cpu")
            loaded = {BASELINE: images.to_uint8(enlarged), **loaded}
        else:
            loaded = {BASELINE: loaded.pop(BASELINE), **loaded}
        if self.spec.high is not None:
            loaded[TRUTH] = images.decode_pixels(datasets.read(self.spec.high), self.spec.high.uri)
        height, width = (min(p.shape[axis] for p in loaded.values()) for axis in (0, 1))
        return {name: picture[:height, :width] for name, picture in loaded.items()}

    def show(self, side: int) -> dict[str, Any]:
        loaded = self.load()
        window = gallery.busiest(loaded)
        whole = next(iter(loaded.values()))
        size = _fit(whole, side)
        top, left = window[0].start, window[1].start
        return {
            "image": self.spec.image,
            "scale": self.spec.scale,
            "size": size,
            "full": (whole.shape[1], whole.shape[0]),
            "detail_at": [left, top, gallery.CELL],
            "small": {name: _webp(_small(picture, size), _QUALITY) for name, picture in loaded.items()},
            "detail": {name: _webp(_picture(picture[window]), _DETAIL_QUALITY) for name, picture in loaded.items()},
            "overlays": self._overlays(size),
            "kernels": self._kernels(),
            "missing": None,
        }

    def _overlays(self, size: tuple[int, int]) -> list[dict[str, Any]]:
        by_segmentation: dict[tuple[str, ...], list[str]] = {}
        for name, group in self.parts.groupby("method", sort=False):
            if len(group) > 1 and group["mask_uri"].notna().all():
                kept = group[group["region"] != "background"]
                by_segmentation.setdefault(tuple(kept["mask_uri"]), []).append(str(name))
        return [{"methods": names, "uri": _overlay(uris, size)} for uris, names in by_segmentation.items()]

    def _kernels(self) -> list[dict[str, Any]]:
        """The estimated kernels beside the true ones of their regions."""
        shown: list[tuple[dict[str, Any], np.ndarray]] = []
        truths: list[tuple[list[str], np.ndarray]] = []  # each distinct true kernel, and the regions that have it
        known: Any = self.parts[self.parts["kernel_uri"].notna() & (self.parts["estimator"] != "ground-truth")]
        for part in records(known):
            if (truth := self._truth(part)) is not None:
                names = next((names for names, other in truths if np.array_equal(truth, other)), None)
                if names is None:
                    truths.append(([part["region"]], truth))
                elif part["region"] not in names:
                    names.append(part["region"])
            psnr = part["kernel_psnr"] and round(part["kernel_psnr"], 1)
            about = {"method": part["method"], "region": part["region"], "psnr": psnr, "note": part["fallback"]}
            shown.append((about, kernels.decode(read_file(part["kernel_uri"]), part["kernel_uri"])))
        about_truth = {"method": TRUTH, "psnr": None, "note": None}
        entries = [({**about_truth, "region": ", ".join(names)}, truth) for names, truth in truths] + shown
        if not entries:
            return []
        longest = max(len(kernel) for _, kernel in entries)
        support = kernels.COMPARISON_SIZE if self.spec.scale == 2 else longest
        aligned = [kernels.centre(kernels.resize_support(kernel, support), self.spec.scale) for _, kernel in entries]
        top = max(float(kernel.max()) for kernel in aligned)
        return [{**about, "uri": _heat(k / top)} for (about, _), k in zip(entries, aligned, strict=True)]

    def _truth(self, part: Mapping[str, Any]) -> np.ndarray | None:
        uri = part["mask_uri"]
        region = regions.whole(self.spec.shape)
        if uri:
            region = Region(part["region"], images.decode_mask(read_file(uri), uri))
        truth = datasets.true_kernel(self.spec, region)
        return truth.kernel if truth else None


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
            picture = images.decode_pixels(datasets.read(reference), reference.uri)
        except MkganError:
            continue
        size = _fit(picture, 512)
        costs.append(len(_encode(_small(picture, size), _QUALITY)) / (size[0] * size[1]))
        aspects.append(min(size) / max(size))
    if not costs:
        return MAX_SIDE
    pixels = max(BUDGET_BYTES / count - details, 1000) / max(costs)
    return int(np.clip(np.sqrt(pixels / np.mean(aspects)), MIN_SIDE, MAX_SIDE))


def _fit(picture: np.ndarray, side: int) -> tuple[int, int]:
    """Width and height with the longer side at most ``side``."""
    height, width = picture.shape[:2]
    factor = min(1.0, side / max(height, width))
    return max(1, round(width * factor)), max(1, round(height * factor))


def _picture(pixels: np.ndarray) -> Picture:
    from PIL import Image as Pillow

    return Pillow.fromarray(pixels)


def _small(pixels: np.ndarray, size: tuple[int, int]) -> Picture:
    from PIL import Image as Pillow

    return _picture(pixels).resize(size, Pillow.Resampling.LANCZOS, reducing_gap=2.0)


def _encode(picture: Picture, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "WEBP", quality=quality, method=2)
    return out.getvalue()


def _webp(picture: Picture, quality: int) -> str:
    return data_uri(_encode(picture, quality), "image/webp")


def _png(picture: Picture) -> str:
    out = io.BytesIO()
    picture.save(out, "PNG", optimize=True)
    return data_uri(out.getvalue(), "image/png")


def _overlay(masks: tuple[str, ...], size: tuple[int, int]) -> str:
    """A see-through layer: each region tinted, with an opaque border; the background clear."""
    from PIL import Image as Pillow
    from scipy.ndimage import binary_erosion

    layer = np.zeros((size[1], size[0], 4), np.uint8)
    for index, uri in enumerate(masks):
        mask = Pillow.fromarray(images.decode_mask(read_file(uri), uri)).resize(size, Pillow.Resampling.NEAREST)
        inside = np.asarray(mask)
        core = np.asarray(binary_erosion(inside, iterations=2, border_value=1), bool)
        border = inside & ~core
        colour = _OVERLAY_COLOURS[index % len(_OVERLAY_COLOURS)]
        layer[inside] = (*colour, _OVERLAY_ALPHA)
        layer[border] = (*colour, 255)
    return _png(Pillow.fromarray(layer))


def _heat(kernel: np.ndarray) -> str:
    """A kernel, 0 to 1, one pixel per entry; the page enlarges it."""
    import matplotlib as mpl
    from PIL import Image as Pillow

    return _png(Pillow.fromarray(mpl.colormaps["magma"](np.clip(kernel, 0, 1), bytes=True)[..., :3]))


def data_uri(data: bytes, media_type: str) -> str:
    """``data:<media type>;base64,...``"""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
