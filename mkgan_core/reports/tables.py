"""The report's tables for readers: means per method, and numbers as text.

The terminal, the Prefect UI and the page all take their headings and numbers from here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mkgan_core.importing import importing
from mkgan_core.machine.plain_text import one_line
from mkgan_core.reports import statistics
from mkgan_core.reports.schema import SCORES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Column:
    """The format of a column of `comparison`.

    Attributes:
        heading: of the column.
        digits: number of digits after the decimal point.
        signed: whether positive numbers have a plus sign.
    """

    heading: str
    digits: int
    signed: bool = False

    def text(self, value: float | None, spread: float | None = None) -> str:
        """A value of the column as text, with its spread if it has one; a dash if it is unknown.

        Example:
            >>> Column("vs bicubic", 2, signed=True).text(3.2449, 0.016)
            '+3.24 ± 0.02'
        """
        text = cell(value, f"{'+' if self.signed else ''}.{self.digits}f")
        known = not (_unknown(value) or _unknown(spread))
        return f"{text} ± {spread:.{self.digits}f}" if known else text


COLUMNS = {  # narrow screens show only the first ones
    "psnr_y": Column("PSNR Y", 2),
    "delta_psnr_y": Column("vs bicubic", 2, signed=True),
    "seconds_total": Column("s/image", 1),
    "ssim_y": Column("SSIM Y", 4),
    "kernel_psnr": Column("kernel PSNR", 1),
    "images": Column("images", 0),
    "failed": Column("failed", 0),
    "psnr_rgb": Column("PSNR RGB", 2),
    "ssim_rgb": Column("SSIM RGB", 4),
    "mse_rgb": Column("MSE RGB", 1),
}
PAIR_HEADINGS = ("n", "mean dB", "95 % interval", "median", "std", "win rate", "p")
SPREAD = ("psnr_y", "ssim_y")  # scores that are shown with their spread over seeds
_EXACT_DB = 100.0  # above this PSNR, a kernel differs from the true one only by rounding


def comparison(report: pd.DataFrame) -> pd.DataFrame:
    """Means per method over the rows that succeeded, in the order of the report.

    Args:
        report: rows of `report.parquet`.

    Returns:
        One row per method. Columns: ``method``, ``images``, ``failed``, the scores, ``delta_psnr_y`` (the gain over
        `bicubic` on the same images), ``kernel_psnr``, ``seconds_total``, ``behind_bicubic`` (the images on which the
        method is worse than bicubic enlargement), ``seeds``, and ``<score>_std`` (the standard deviation of the means
        of the seeds; NaN with one seed).
    """
    with importing:
        import pandas as pd

    place = statistics.PLACE
    baseline = report.query("status == 'ok' and method == 'bicubic'").drop_duplicates(place).set_index(place)["psnr_y"]
    spread = statistics.over_seeds(report, SCORES)
    table = []
    for name in dict.fromkeys(report["method"]):
        group = report.query("method == @name")
        done = group.query("status == 'ok'").set_index(place)
        gain = done["psnr_y"].sub(baseline).dropna()
        behind = gain.index[gain < 0].get_level_values("image")
        table.append(
            {
                "method": name,
                "images": len(set(done.index)),
                "failed": len(group) - len(done),
                **{score: done[score].mean() for score in SCORES},
                "delta_psnr_y": gain.mean() if len(gain) else None,
                "kernel_psnr": done["kernel_psnr"].mean(),
                "seconds_total": done["seconds_total"].mean(),
                "behind_bicubic": ", ".join(dict.fromkeys(behind)),
                **(spread.loc[name].to_dict() if name in spread.index else {"seeds": 0}),
            }
        )
    return pd.DataFrame(table).astype({"seeds": int})


def failures(report: pd.DataFrame) -> list[str]:
    """One line for each failed row: image, method, seed, and the error.

    Args:
        report: rows of `report.parquet`.

    Example:
        >>> import pandas as pd
        >>> failures(pd.DataFrame({"image": ["im_1"], "method": ["bicubic"], "seed": [0], "status": ["failed"],
        ...                        "error": ["the file" + chr(10) + "is gone"]}))
        ['im_1 bicubic seed 0: the file is gone']
    """
    failed = report[report["status"] != "ok"].to_dict("records")
    lines = [f"{row['image']} {row['method']} seed {row['seed']}: {row['error']}" for row in failed]
    return [one_line(line) for line in lines]


def figure(name: str, row: Mapping[Any, Any]) -> str:
    """A value of `comparison` as text, with the spread over seeds if the row has it.

    Args:
        name: one of `COLUMNS`.
        row: a row of `comparison`.

    Example:
        >>> figure("psnr_y", {"psnr_y": 31.859, "psnr_y_std": 0.021})
        '31.86 ± 0.02'
        >>> figure("kernel_psnr", {"kernel_psnr": 307.2})
        'exact'
    """
    value = row[name]
    if name == "kernel_psnr" and value is not None and value > _EXACT_DB:
        return "exact"
    return COLUMNS[name].text(value, row.get(f"{name}_std") if name in SPREAD else None)


def cell(value: float | None, form: str) -> str:
    """Format a number by a format specification; a dash if it is unknown.

    Example:
        >>> cell(0.25, ".0%"), cell(float("nan"), "+.3f")
        ('25%', '–')
    """
    return "–" if _unknown(value) else format(value, form)


def pair_cells(summary: Mapping[Any, Any]) -> list[str]:
    """A `statistics.Paired`, or a row of `statistics.splits`, as text in the order of `PAIR_HEADINGS`."""
    return [
        f"{summary['images']}",
        cell(summary["mean"], "+.3f"),
        "–" if _unknown(summary["low"]) else f"{summary['low']:+.3f} to {summary['high']:+.3f}",
        cell(summary["median"], "+.3f"),
        cell(summary["std"], ".3f"),
        cell(summary["win_rate"], ".0%"),
        cell(summary["p_value"], ".2g"),
    ]


def split_label(part: Mapping[Any, Any]) -> str:
    """The label of a group of images, from a row of `statistics.splits`.

    Example:
        >>> split_label({"property": "texture", "group": "high", "from": 7.123, "to": 15.0})
        'texture: high (7.12 to 15)'
    """
    return f"{statistics.PROPERTIES[part['property']]}: {part['group']} ({part['from']:.3g} to {part['to']:.3g})"


def _unknown(value: float | None) -> bool:
    return value is None or math.isnan(value)
