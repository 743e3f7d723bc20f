"""A run's folder in the store, the run as its report tells it, and two runs side by side."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from mkgan_core.errors import ConfigError, StorageError
from mkgan_core.machine.storage import Store
from mkgan_core.reports import statistics
from mkgan_core.reports.image_rows import with_found_objects
from mkgan_core.reports.schema import encode, images_schema, regions_schema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

BASELINE = "bicubic"

# the files of a run's folder
RUN_FILE = "run.json"  # what was asked for, and which flow run did it
REPORT, REGIONS, IMAGES = "report.parquet", "regions.parquet", "images.parquet"
PAGE = "report.html"
CONTACT_SHEET = "contact-sheet.png"

_RECENT = 5  # runs that a message names


@dataclass(frozen=True)
class RunFolder:
    """Where the files of a run are.

    Attributes:
        run_id: names the run.
        store: its folder; the constants of this module name the files in it.
        report: the name of the report's file, if it is not `REPORT`.
        parent: the artifact store; None for a run that was named by its report's URI.
    """

    run_id: str
    store: Store
    report: str = REPORT
    parent: Store | None = None

    @classmethod
    def of(cls, run: str, store_uri: str) -> RunFolder:
        """The folder of a run, whether it exists or not.

        Args:
            run: a run id, or the URI (or path) of a report, which ends in ``.parquet``.
            store_uri: the artifact store in which a run id is looked for.

        Raises:
            StorageError: if the store cannot be opened.

        Example:
            >>> RunFolder.of("sample-x2-fast-1a2b3c4d", "memory://store").store.uri_of(REPORT)
            'memory:///store/runs/sample-x2-fast-1a2b3c4d/report.parquet'
            >>> RunFolder.of("memory://copies/monday/report.parquet", "memory://store").run_id
            'monday'
        """
        if run.endswith(".parquet") and "/" in run:
            uri, name = run.rsplit("/", 1)
            return cls(uri.rsplit("/", 1)[-1], Store(uri), name)
        return cls(run, Store(f"{store_uri.removesuffix('/')}/runs/{run}"), parent=Store(store_uri))

    @property
    def recent(self) -> str:
        """The last runs in the same store, for a message about a run that does not exist."""
        if self.parent is None:
            return "see the path"
        return ", ".join(self.parent.list("runs")[-_RECENT:]) or "none"


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
        """The run with these comparisons instead of its own; without any, the run as it is."""
        return replace(self, pairs=tuple(pairs)) if pairs else self


def open_run(run: str, store_uri: str) -> Run:
    """The run of a run id, or of the URI of its `report.parquet`.

    Raises:
        ConfigError: if the run has no report, or an empty one.
    """
    folder = RunFolder.of(run, store_uri)
    rows = _read(folder, run)
    if rows.empty:
        raise ConfigError(f"the report of run '{run}' has no rows; name another")
    first = rows.iloc[0]
    images = _table(folder, IMAGES, images_schema())
    regions = _table(folder, REGIONS, regions_schema())
    return Run(
        title=f"{first['dataset']} x{first['scale']}, preset {first['preset']}",
        names=(first["run_id"],),
        rows=rows,
        regions=regions,
        images=with_found_objects(images, regions),
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
    one_baseline = b.rows if BASELINE not in set(a.rows["method"]) else b.rows[b.rows["method"] != BASELINE]

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


def read(run: str, store_uri: str) -> pd.DataFrame:
    """The report of a run, by run id or by the URI of its `report.parquet`: one row per image x method x scale x seed.

    Raises:
        ConfigError: if the run has no report.
    """
    return _read(RunFolder.of(run, store_uri), run)


def _read(folder: RunFolder, run: str) -> pd.DataFrame:
    import pandas as pd

    try:
        data = folder.store.read(folder.report)
    except StorageError as fault:
        place = (folder.parent or folder.store).uri
        raise ConfigError(f"no report for run '{run}' in {place} (runs there: {folder.recent})") from fault
    return pd.read_parquet(io.BytesIO(data))


def read_file(uri: str) -> bytes:
    """The bytes of a file that a report names.

    Raises:
        StorageError: if it is gone.
    """
    folder, name = uri.rsplit("/", 1)
    return Store(folder).read(name)


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows, with None for what is missing, where pandas has NaN, also among strings.

    Example:
        >>> import pandas as pd
        >>> records(pd.DataFrame({"image": ["im_1", None], "psnr_y": [30.5, float("nan")]}))
        [{'image': 'im_1', 'psnr_y': 30.5}, {'image': None, 'psnr_y': None}]
    """
    return cast("list[dict[str, Any]]", table.astype(object).where(table.notna(), None).to_dict("records"))


def _table(folder: RunFolder, name: str, schema: pa.Schema) -> pd.DataFrame:
    """A table beside the report; columns that it lacks, or all of them, are empty."""
    import pandas as pd

    try:
        data = folder.store.read(name)
    except StorageError:
        data = encode([], schema)
    return pd.read_parquet(io.BytesIO(data)).reindex(columns=schema.names)
