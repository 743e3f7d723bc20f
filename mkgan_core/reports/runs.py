"""A run's folder in the store, the run read from its report, and two runs combined."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

from mkgan_core.datasets.layout import SCALES
from mkgan_core.errors import ArtifactError, ConfigError, StorageError
from mkgan_core.importing import importing
from mkgan_core.machine.places import split_file
from mkgan_core.machine.plain_text import one_line
from mkgan_core.machine.storage import Store
from mkgan_core.reports import ranking, roots, statistics
from mkgan_core.reports.image_rows import with_found_objects
from mkgan_core.reports.ranking import BASELINE
from mkgan_core.reports.roots import Roots
from mkgan_core.reports.schema import ADDED, decode, encode, images_schema, regions_schema, report_schema

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

# the files of a run's folder
RUN_FILE = "run.json"  # the run's configuration and its flow run
REPORT, REGIONS, IMAGES = "report.parquet", "regions.parquet", "images.parquet"
PAGE = "report.html"
CONTACT_SHEET = "contact-sheet.png"
ARTIFACTS = "artifacts.json"  # names of the records that it needs, for `mkgan store`

_RECENT = 5  # number of runs in a message
_IN_STORE = re.compile(r"(.+)/runs/[^/]+")  # the folder of a run in an artifact store
_PLACE = ("image", "scale", "method", "seed")  # columns that the other tables must have


@dataclass(frozen=True)
class RunFolder:
    """The folder of a run.

    Attributes:
        run_id: the run's id.
        store: the folder; the constants of this module name its files.
        report: the name of the report's file, if it is not `REPORT`.
        parent: the artifact store; None for a run given by its report's URI.
        artifacts: URI of the artifact store with the report's files.
    """

    run_id: str
    store: Store
    report: str = REPORT
    parent: Store | None = None
    artifacts: str = ""

    @classmethod
    def of(cls, run: str, store_uri: str) -> RunFolder:
        """The folder of a run, whether it exists or not.

        Args:
            run: a run id, or the URI (or path) of a report, which ends in ``.parquet``.
            store_uri: the artifact store for a run id, and for the artifacts of a report outside any artifact store.

        Raises:
            StorageError: if the store cannot be opened.

        Example:
            >>> RunFolder.of("sample-x2-fast-1a2b3c4d", "memory://store").store.uri_of(REPORT)
            'memory:///store/runs/sample-x2-fast-1a2b3c4d/report.parquet'
            >>> RunFolder.of("memory://copies/monday/report.parquet", "memory://store").run_id
            'monday'
        """
        if run.endswith(".parquet"):
            uri, name = split_file(run)
            folder = Store(uri)
            around = _IN_STORE.fullmatch(folder.uri)
            return cls(folder.uri.rsplit("/", 1)[-1], folder, name, None, around[1] if around else Store(store_uri).uri)
        parent = Store(store_uri)
        return cls(run, Store(f"{store_uri.removesuffix('/')}/runs/{run}"), parent=parent, artifacts=parent.uri)

    @property
    def recent(self) -> str:
        """The most recent runs in the same store, for messages about a run that does not exist."""
        if self.parent is None:
            return "see the path"
        return ", ".join(self.parent.list("runs")[-_RECENT:]) or "none"


@dataclass(frozen=True)
class Run:
    """The tables of a run.

    Attributes:
        title: data set, scale and preset.
        names: its run id; two for two combined runs.
        rows: `report.parquet`, one row per image x method x scale x seed.
        regions: `regions.parquet`.
        images: `images.parquet`; empty for reports of earlier versions, which did not have it.
        pairs: the run's main comparisons.
        folders: URIs of the folders from which the tables' files may be read (`roots`).
        notes: what cannot be shown, and why.
    """

    title: str
    names: tuple[str, ...]
    rows: pd.DataFrame
    regions: pd.DataFrame
    images: pd.DataFrame
    pairs: tuple[tuple[str, str], ...]
    folders: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def read(self, uri: str) -> bytes:
        """The bytes of a file named in the tables.

        Raises:
            DatasetError: if it is outside the run's folders.
            StorageError: if it is gone.
        """
        folder, name = roots.confined(uri, self.folders).rsplit("/", 1)
        return Store(folder).read(name)

    def with_pairs(self, pairs: list[tuple[str, str]]) -> Run:
        """The run with these comparisons instead of its own; without any, the unchanged run."""
        return replace(self, pairs=tuple(pairs)) if pairs else self


def open_run(run: str, store_uri: str) -> Run:
    """The run with a run id, or with the URI of its `report.parquet`.

    If one of the other tables is damaged, the parts that need it are missing; the run's notes say so.

    Raises:
        ConfigError: if the run has no report, or one that is damaged or empty.
    """
    folder = RunFolder.of(run, store_uri)
    rows = _read(folder, run)
    places = Roots.of(folder.artifacts, roots.read_facts(folder.store, RUN_FILE))
    notes: list[str] = []
    images = _table(folder, IMAGES, images_schema(), _PLACE[:2], notes)
    images = images.merge(rows[statistics.PLACE].drop_duplicates()).drop_duplicates(statistics.PLACE)
    regions = _table(folder, REGIONS, regions_schema(), (*_PLACE, "region"), notes)
    first = rows.iloc[0]
    return Run(
        title=one_line(f"{first['dataset']} x{first['scale']}, preset {first['preset']}"),
        names=(first["run_id"],),
        rows=_moved(rows, places.artifact),
        regions=_moved(regions, places.artifact),
        images=with_found_objects(_moved(images, places.data), regions),
        pairs=tuple(ranking.natural_pairs(rows)),
        folders=places.folders,
        notes=tuple(notes),
    )


def beside(a: Run, b: Run) -> Run:
    """Combine two runs: the images that both have, all methods labelled by preset or run, and one baseline.

    Raises:
        ConfigError: if they share no image at the same scale.
    """
    with importing:
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
        pairs=tuple(same or ranking.natural_pairs(rows)),
        folders=(*a.folders, *b.folders),
        notes=(*a.notes, *b.notes),
    )


def read(run: str, store_uri: str) -> pd.DataFrame:
    """The report of a run, by run id or by the URI of its `report.parquet`: one row per image x method x scale x seed.

    Raises:
        ConfigError: if the run has no report, or one that is damaged or empty.
    """
    return _read(RunFolder.of(run, store_uri), run)


def _read(folder: RunFolder, run: str) -> pd.DataFrame:
    file = folder.store.uri_of(folder.report)
    try:
        data = folder.store.read(folder.report)
    except ArtifactError as fault:
        if not isinstance(fault.__cause__, FileNotFoundError):
            raise
        place = (folder.parent or folder.store).uri
        raise ConfigError(
            f"no report of run '{run}' in {place}; name another run or --store (runs there: {folder.recent})"
        ) from fault
    schema = report_schema()
    rows = decode(data, schema, file, needs=[name for name in schema.names if name not in ADDED])
    if rows.empty:
        raise ConfigError(f"{file}, the report of run '{run}', has no rows; name another run")
    if unknown := set(rows["scale"]) - set(SCALES):
        raise ConfigError(f"{file} has rows of scale {', '.join(map(str, sorted(unknown)))}; mkgan knows {SCALES}")
    return rows


def _table(folder: RunFolder, name: str, schema: pa.Schema, needs: Sequence[str], notes: list[str]) -> pd.DataFrame:
    """One of the other tables; empty if it is missing, or damaged, which adds a note."""
    file = folder.store.uri_of(name)
    try:
        return decode(folder.store.read(name), schema, file, needs=needs)
    except (ConfigError, StorageError) as fault:
        if not isinstance(fault.__cause__, FileNotFoundError):
            notes.append(one_line(f"{fault}; its content is left out"))
    return decode(encode([], schema), schema, file)


def _moved(table: pd.DataFrame, place: Callable[[str], str | None]) -> pd.DataFrame:
    """The table with ``place`` applied to all URIs."""
    return table.assign(
        **{name: table[name].map(place, na_action="ignore") for name in table.columns if name.endswith("_uri")}
    )


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """A table's rows, with None for missing values (in pandas NaN, even among strings).

    Example:
        >>> import pandas as pd
        >>> records(pd.DataFrame({"image": ["im_1", None], "psnr_y": [30.5, float("nan")]}))
        [{'image': 'im_1', 'psnr_y': 30.5}, {'image': None, 'psnr_y': None}]
    """
    return cast("list[dict[str, Any]]", table.astype(object).where(table.notna(), None).to_dict("records"))
