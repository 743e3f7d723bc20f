"""Selects the methods that compete, the best of them, and the main comparisons of a report.

A method that is given the true kernels is an oracle: it shows how much better kernels would help, and does not compete.
All other methods are blind.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mkgan_core.errors import ConfigError
from mkgan_core.importing import importing
from mkgan_core.pipeline import parts
from mkgan_core.reports import statistics, tables

if TYPE_CHECKING:
    import pandas as pd

BASELINE = "bicubic"
FEW = 20  # images; with fewer, the percentile interval covers less than 93 % instead of 95 %
SMALLER_IS_BETTER = {*statistics.LOWER_IS_BETTER, "seconds_total"}
_SAME_FOR_ALL = {"images", "failed"}  # columns in which there is no best


def oracles(report: pd.DataFrame) -> set[str]:
    """The methods of a report that are given the true kernels.

    Args:
        report: rows of `report.parquet`.

    Example:
        >>> import pandas as pd
        >>> oracles(pd.DataFrame({"method": ["auto+zssr", "ground-truth+zssr"], "estimator": ["auto", "ground-truth"]}))
        {'ground-truth+zssr'}
    """
    used = report.drop_duplicates("method")
    return {name for name, estimator in zip(used["method"], used["estimator"], strict=True) if needs_truth(estimator)}


def needs_truth(estimator: Any) -> bool:
    """Whether an estimator is given the true kernels; false for None and for estimators that are not installed.

    Example:
        >>> needs_truth("ground-truth"), needs_truth("auto"), needs_truth(None)
        (True, False, False)
    """
    if not isinstance(estimator, str):
        return False
    try:
        return parts.part_class("estimator", estimator).needs_truth
    except ConfigError:
        return False


def best(report: pd.DataFrame) -> str | None:
    """The blind method with the highest mean PSNR Y among those that finished all images; None if there is none.

    Args:
        report: rows of `report.parquet`.
    """
    means = tables.comparison(report).to_dict("records")
    competing = [row for row in _competing(means, oracles(report)) if _finite(row["psnr_y"])]
    return max(competing, key=lambda row: row["psnr_y"])["method"] if competing else None


def marks(means: Sequence[Mapping[Any, Any]], excluded: set[str]) -> dict[str, set[str]]:
    """For each column of a comparison, the methods with its best value.

    Values that read the same are equally good. A column in which fewer than two methods compete has no best.

    Args:
        means: rows of `tables.comparison`.
        excluded: methods that do not compete, from `oracles`.

    Example:
        >>> means = [{"method": "a", "images": 4, "psnr_y": 30.123}, {"method": "b", "images": 4, "psnr_y": 30.121},
        ...          {"method": "partly", "images": 3, "psnr_y": 35.0}]
        >>> sorted(marks(means, set())["psnr_y"])
        ['a', 'b']
    """
    competing = _competing(means, excluded)
    found: dict[str, set[str]] = {}
    for name, column in tables.COLUMNS.items():
        known = [row for row in competing if _finite(row.get(name))]
        if name in _SAME_FOR_ALL or len(known) < 2:
            continue
        choose = min if name in SMALLER_IS_BETTER else max
        top = column.text(choose(row[name] for row in known))
        found[name] = {row["method"] for row in known if column.text(row[name]) == top}
    return found


def image_marks(scores: pd.DataFrame, excluded: set[str]) -> list[set[str]]:
    """For each image, the methods with the best PSNR Y.

    Values that read the same are equally good. An image with values of fewer than two methods has no best.

    Args:
        scores: PSNR Y from `statistics.score_table`: one row per image, one column per method.
        excluded: columns that do not compete, such as those of `oracles`.

    Returns:
        One set of methods per row.

    Example:
        >>> import pandas as pd
        >>> scores = pd.DataFrame({"a": [30.123, 31.0], "b": [30.121, float("nan")], "oracle": [35.0, 35.0]})
        >>> [sorted(best) for best in image_marks(scores, {"oracle"})]
        [['a', 'b'], []]
    """
    text = tables.COLUMNS["psnr_y"].text
    marked = []
    for row in scores[[name for name in scores if name not in excluded]].to_dict("records"):
        known = {str(name): value for name, value in row.items() if not math.isnan(value)}
        top = text(max(known.values())) if len(known) > 1 else None
        marked.append({name for name, value in known.items() if text(value) == top})
    return marked


def headline(report: pd.DataFrame) -> str:
    """The result of a run in a few words: the best blind method and its gain.

    Args:
        report: rows of `report.parquet`.

    Example:
        >>> import pandas as pd
        >>> rows = {"image": "im_1", "scale": 2, "method": ["bicubic", "spectral+zssr"], "status": "ok", "seed": 0,
        ...         "estimator": [None, "spectral"], "psnr_y": [30.0, 33.46], "ssim_y": 0.9, "psnr_rgb": 29.0,
        ...         "ssim_rgb": 0.9, "mse_rgb": 80.0, "kernel_psnr": None, "seconds_total": 1.0}
        >>> headline(pd.DataFrame(rows))
        'spectral+zssr +3.46 dB over bicubic on 1 image'
    """
    means = {row["method"]: row for row in tables.comparison(report).to_dict("records")}
    name = best(report)
    if name is None:
        return "no method finished an image"
    row = means[name]
    on = f"on {row['images']} image{'s' if row['images'] != 1 else ''}"
    if name == BASELINE and len(means) > 1:
        return f"no method is better than {BASELINE} {on}"
    if name != BASELINE and _finite(row["delta_psnr_y"]):
        return f"{name} {tables.figure('delta_psnr_y', row)} dB over {BASELINE} {on}"
    return f"{name} {tables.figure('psnr_y', row)} dB {on}"


def natural_pairs(report: pd.DataFrame) -> list[tuple[str, str]]:
    """The main comparisons of a report.

    They are the best blind method against bicubic, then against each other method, oracles last; then each method with
    several kernels against the same method with one kernel.

    Example:
        >>> import pandas as pd
        >>> natural_pairs(pd.DataFrame({
        ...     "image": "im_1", "scale": 2, "seed": 0, "status": "ok", "ssim_y": 0.9, "psnr_rgb": 29.0,
        ...     "ssim_rgb": 0.9, "mse_rgb": 80.0, "kernel_psnr": None, "seconds_total": 1.0,
        ...     "psnr_y": [30.0, 33.0, 32.5],
        ...     "method": ["bicubic", "spectral+zssr", "multi-spectral+zssr"],
        ...     "segmenter": ["whole", "whole", "yolo-sam"],
        ...     "estimator": [None, "spectral", "spectral"],
        ...     "upscaler": ["bicubic", "zssr", "zssr"]}))
        [('spectral+zssr', 'bicubic'), ('spectral+zssr', 'multi-spectral+zssr')]
    """
    used = {row["method"]: row for row in report.drop_duplicates("method").to_dict("records")}
    last = oracles(report)
    first = best(report)
    others = sorted((name for name in used if name != first), key=lambda name: (name != BASELINE, name in last))
    pairs = [(first, other) for other in others] if first else []
    for name, row in used.items():
        single = f"{row['estimator']}+{row['upscaler']}"
        if row["segmenter"] != "whole":
            pairs += [(name, other) for other in used if other == single or other.startswith(f"{single} (")]
    once: dict[frozenset[str], tuple[str, str]] = {}
    for pair in pairs:
        once.setdefault(frozenset(pair), pair)
    return list(once.values())


def caution(images: int) -> str | None:
    """A warning about statistics from few images; None if there are enough.

    The percentile interval of the mean has the width z s / sqrt(n), but Student's has t s / sqrt(n - 1), so the former
    is too narrow for few images. The Wilcoxon p of n differences without ties cannot fall below 2 / 2^n.

    Example:
        >>> caution(4)
        'Only 4 images: p cannot fall below 0.125, and the interval is too narrow (about 81 % instead of 95 %).'
        >>> caution(12)
        'Only 12 images: the interval is too narrow (about 91 % instead of 95 %).'
        >>> caution(100)
    """
    if images >= FEW:
        return None
    if images < 2:
        return f"Only {images} image{'s' if images != 1 else ''}: no interval, and nothing about other images."
    with importing:
        from scipy.special import ndtri, stdtr

    reach = ndtri(0.5 + statistics.CONFIDENCE / 2) * math.sqrt((images - 1) / images)
    covers = 2 * stdtr(images - 1, reach) - 1
    least = 2 / 2**images
    floor = f"p cannot fall below {least:.3g}, and " if least > 1 - statistics.CONFIDENCE else ""
    return f"Only {images} images: {floor}the interval is too narrow (about {100 * covers:.0f} % instead of 95 %)."


def _competing(means: Sequence[Mapping[Any, Any]], excluded: set[str]) -> list[Mapping[Any, Any]]:
    """The blind methods that finished all images, because means over different images cannot be compared."""
    blind = [row for row in means if row["method"] not in excluded]
    most = max((row["images"] for row in blind), default=0)
    return [row for row in blind if row["images"] == most and most]


def _finite(value: Any) -> bool:
    return value is not None and math.isfinite(value)
