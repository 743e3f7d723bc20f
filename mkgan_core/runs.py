"""A run as its report tells it, and two runs side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mkgan_core import image_properties, report, statistics
from mkgan_core.errors import ConfigError, StorageError
from mkgan_core.storage import Store

if TYPE_CHECKING:
    import pandas as pd

BASELINE = "bicubic"


@dataclass(frozen=True)
class Run:
    """The tables of a run.

    Attributes:
        title: what was run.
        names: its run id; two of them for two runs side by side.
        rows: `report.parquet`, one row per image x method x scale x seed.
        regions: `regions.parquet`.
        images: `images.parquet`; empty for reports of earlier versions, which did not have it.
        pairs: the comparisons that the run is about.
    """

    title: str
    names: tuple[str, ...]
    rows: pd.DataFrame
    regions: pd.DataFrame
    images: pd.DataFrame
    pairs: tuple[tuple[str, str], ...]

    def with_pairs(self, pairs: list[tuple[str, str]]) -> Run:
        """The run with other comparisons than its own, if there are any."""
        return replace(self, pairs=tuple(pairs)) if pairs else self


def open_run(run: str, store_uri: str) -> Run:
    """The run of a run id, or of the URI of its `report.parquet`.

    Raises:
        ConfigError: if there is none.
    """
    rows = report.read(run, store_uri)
    if rows.empty:
        raise ConfigError(f"the report of run '{run}' has no rows; name another")
    folder = run.rsplit("/", 1)[0] if run.endswith(".parquet") and "/" in run else f"{store_uri}/runs/{run}"
    first = rows.iloc[0]
    images = _table(folder, "images.parquet", image_properties.COLUMNS)
    regions = _table(folder, "regions.parquet", report.REGION_COLUMNS)
    return Run(
        title=f"{first['dataset']} x{first['scale']}, preset {first['preset']}",
        names=(first["run_id"],),
        rows=rows,
        regions=regions,
        images=image_properties.with_found_objects(images, regions),
        pairs=tuple(statistics.natural_pairs(rows)),
    )


def beside(a: Run, b: Run) -> Run:
    """Two runs as one: the images that both have, methods of both told apart by preset or run, one baseline.

    Raises:
        ConfigError: if they share no image at the same scale.
    """
    import pandas as pd

    place = statistics.PLACE
    common = a.rows[place].drop_duplicates().merge(b.rows[place].drop_duplicates())
    if common.empty:
        raise ConfigError(
            f"runs {a.names[0]} ({a.title}) and {b.names[0]} ({b.title}) share no image at the same scale; "
            "compare runs on the same data set"
        )
    presets = [run.rows["preset"].iloc[0] for run in (a, b)]
    labels = presets if presets[0] != presets[1] else ["A", "B"]
    both = (set(a.rows["method"]) & set(b.rows["method"])) - {BASELINE}
    one_baseline: Any = b.rows if BASELINE not in set(a.rows["method"]) else b.rows[b.rows["method"] != BASELINE]

    def labelled(table: pd.DataFrame, label: str) -> pd.DataFrame:
        names = {name: f"{name} ({label})" for name in both}
        return table.merge(common).assign(method=lambda t: t["method"].replace(names))

    rows = pd.concat([labelled(a.rows, labels[0]), labelled(one_baseline, labels[1])], ignore_index=True)
    regions = pd.concat([labelled(a.regions, labels[0]), labelled(b.regions, labels[1])], ignore_index=True)
    titles = [f"{label}: {run.title}, {run.names[0]}" for label, run in zip(labels, (a, b), strict=True)]
    same = [
        (f"{name} ({labels[1]})", f"{name} ({labels[0]})") for name in dict.fromkeys(a.rows["method"]) if name in both
    ]
    return Run(
        title=" — ".join(titles),
        names=(*a.names, *b.names),
        rows=rows,
        regions=regions,
        images=a.images.merge(common),
        pairs=tuple(same or statistics.natural_pairs(rows)),
    )


def read_file(uri: str) -> bytes:
    """The bytes of a file that a report names.

    Raises:
        StorageError: if it is gone.
    """
    folder, name = uri.rsplit("/", 1)
    return Store(folder).read(name)


def records(table: Any) -> list[dict[str, Any]]:
    """A table's rows, with None for what is missing: pandas has NaN there, also among strings."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _table(folder: str, name: str, columns: Sequence[str]) -> pd.DataFrame:
    """A table beside the report; columns that it lacks, or all of them, are empty."""
    import pandas as pd

    try:
        data = Store(folder).read(name)
    except StorageError:
        data = report.encode([], columns)
    return pd.read_parquet(io.BytesIO(data)).reindex(columns=list(columns))
