"""Statistics of a report: paired differences between two methods, over all images and by kind of image.

The unit is the image: scores are first averaged over seeds, because the seeds of one image are not independent. Two
methods are compared on the images that both finished.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mkgan_core.errors import ConfigError
from mkgan_core.importing import importing

if TYPE_CHECKING:
    import pandas as pd

PLACE = ["image", "scale"]
LOWER_IS_BETTER = {"mse_rgb"}
PROPERTIES = {
    "object_share": "object's share of the image",
    "blur_difference": "difference of the two blurs",
    "texture": "texture",
    "texture_difference": "difference of the two textures",
}
CONFIDENCE = 0.95
_RESAMPLES = 9999
_DRAWS = 20_000_000  # maximum number of values that a bootstrap draws; above 2000 images it uses fewer resamples
_BATCH = 2_000_000  # maximum number of drawn values in memory
_THIRDS_FROM = 30  # with at least this number of images a split has three groups, otherwise two


@dataclass(frozen=True)
class Paired:
    """The comparison of method ``a`` with method ``b``: the differences a - b of a score, one per image.

    Attributes:
        images: number of images that both finished.
        mean, median, std: of the differences, in the score's unit; std divides by ``images - 1``.
        low, high: 95 % bootstrap interval of the mean (percentile).
        win_rate: share of the images on which ``a`` is better, in [0, 1].
        p_value: of the two-sided Wilcoxon signed-rank test that the differences are symmetric about zero.

    Values that need more images are NaN.
    """

    a: str
    b: str
    score: str
    images: int
    mean: float
    median: float
    std: float
    low: float
    high: float
    win_rate: float
    p_value: float


def score_table(report: pd.DataFrame, score: str = "psnr_y") -> pd.DataFrame:
    """Means over seeds: one row per image and scale, one column per method, NaN if no seed succeeded.

    Args:
        report: rows of `report.parquet`.
        score: the column to average.

    Example:
        >>> import pandas as pd
        >>> report = pd.DataFrame({"image": "im_1", "scale": 2, "method": ["bicubic", "zssr", "zssr"],
        ...                        "status": "ok", "psnr_y": [30.0, 31.0, 32.0]})
        >>> score_table(report).loc[("im_1", 2)].to_dict()
        {'bicubic': 30.0, 'zssr': 31.5}
    """
    done = report.loc[report["status"] == "ok", ["method", *PLACE, score]]
    means = done.groupby(["method", *PLACE], sort=False, observed=True)[score].mean().unstack("method")
    return means[list(dict.fromkeys(done["method"]))]  # in the order of the report


def differences(table: pd.DataFrame, a: str, b: str) -> pd.Series:
    """The score of ``a`` minus that of ``b`` for each image that both finished.

    Args:
        table: from `score_table`.
        a: a method.
        b: the method that it is compared with.

    Raises:
        ConfigError: if the report has no such method.

    Example:
        >>> import pandas as pd
        >>> differences(pd.DataFrame({"bicubic": [30.0, 31.0], "zssr": [31.0, None]}), "zssr", "bicubic").to_dict()
        {0: 1.0}
    """
    for name in (a, b):
        if name not in table:
            raise ConfigError(f"the report has no finished rows of method '{name}'; it has {', '.join(table.columns)}")
    gaps = table[a] - table[b]
    return gaps.replace([np.inf, -np.inf], np.nan).dropna()


def paired(table: pd.DataFrame, a: str, b: str, score: str = "psnr_y") -> Paired:
    """Compare two methods.

    Args:
        table: from `score_table`.
        a: a method.
        b: the method that it is compared with.
        score: the score in the table; it decides which sign is a win.

    Raises:
        ConfigError: if the report has no such method.

    Example:
        >>> import pandas as pd
        >>> table = pd.DataFrame({"bicubic": [30.0, 31.0, 29.0], "zssr": [31.0, 32.5, 28.9]})
        >>> summary = paired(table, "zssr", "bicubic")
        >>> summary.images, round(summary.mean, 2), round(summary.win_rate, 2)
        (3, 0.8, 0.67)
    """
    return _summary(differences(table, a, b).to_numpy(float), a, b, score)


def splits(table: pd.DataFrame, a: str, b: str, images: pd.DataFrame, score: str = "psnr_y") -> pd.DataFrame:
    """Compare two methods by kind of image: each property splits the images into two or three groups of similar size.

    Args:
        table: from `score_table`.
        a: a method.
        b: the method that it is compared with.
        images: table with the columns ``image``, ``scale`` and any of `PROPERTIES`.
        score: the score in the table.

    Returns:
        One row per property and group: ``property``, ``group`` (low, middle, high), ``from``, ``to`` (the property's
        range in the group), and the fields of `Paired`. Properties that are unknown or constant have no rows.

    Raises:
        ConfigError: if the report has no such method.
    """
    with importing:
        import pandas as pd

    gaps = differences(table, a, b)
    known = images.drop_duplicates(PLACE).set_index(PLACE)
    rows = []
    for name in PROPERTIES:
        if name not in known:
            continue
        values = known[name].reindex(gaps.index).dropna()
        names = ["low", "middle", "high"] if len(values) >= _THIRDS_FROM else ["low", "high"]
        # ranks, because `qcut` on the values fails if many are equal
        if values.nunique() < len(names):
            continue
        groups = pd.qcut(values.rank(method="first"), len(names), labels=names)
        for group in names:
            inside = values[groups == group]
            summary = _summary(gaps[inside.index].to_numpy(float), a, b, score)
            rows.append({"property": name, "group": group, "from": inside.min(), "to": inside.max(), **vars(summary)})
    return pd.DataFrame(rows)


def over_seeds(report: pd.DataFrame, scores: Sequence[str]) -> pd.DataFrame:
    """The spread over seeds: for each method the number of seeds and the standard deviation of the seeds' means.

    Args:
        report: rows of `report.parquet`.
        scores: names of its columns.

    Returns:
        One row per method that finished an image. Columns ``seeds`` and ``<score>_std``; the latter is NaN with one
        seed.
    """
    done = report[report["status"] == "ok"]
    means = done.groupby(["method", "seed"], sort=False, observed=True)[list(scores)].mean()
    by_method = means.groupby("method", sort=False, observed=True)
    return by_method.std().add_suffix("_std").assign(seeds=by_method.size())


def _summary(gaps: np.ndarray, a: str, b: str, score: str) -> Paired:
    wins = gaps < 0 if score in LOWER_IS_BETTER else gaps > 0
    low, high = _interval(gaps)
    count, nothing = len(gaps), math.nan
    return Paired(
        a=a,
        b=b,
        score=score,
        images=count,
        mean=float(gaps.mean()) if count else nothing,
        median=float(np.median(gaps)) if count else nothing,
        std=float(gaps.std(ddof=1)) if count > 1 else nothing,
        low=low,
        high=high,
        win_rate=float(wins.mean()) if count else nothing,
        p_value=_wilcoxon(gaps),
    )


def _interval(gaps: np.ndarray) -> tuple[float, float]:
    if len(gaps) < 2:
        return math.nan, math.nan
    if np.ptp(gaps) == 0:
        return float(gaps[0]), float(gaps[0])
    # hold the lock during the call too: scipy.stats checks whether its arrays are torch's, and fails while another
    # thread is importing torch
    with importing:
        from scipy.stats import bootstrap

        result: Any = bootstrap(
            (gaps,),
            np.mean,
            confidence_level=CONFIDENCE,
            n_resamples=min(_RESAMPLES, max(999, _DRAWS // len(gaps))),
            batch=max(1, _BATCH // len(gaps)),
            method="percentile",
            rng=np.random.default_rng(0),  # the same report gives the same interval
        )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def _wilcoxon(gaps: np.ndarray) -> float:
    if len(gaps) < 2:
        return math.nan
    if not gaps.any():
        return 1.0  # all differences are zero, for which scipy's result is undefined
    with importing:  # as above
        from scipy.stats import wilcoxon

        result: Any = wilcoxon(gaps)
    return float(result.pvalue)
