"""What a run leaves in the Prefect UI: tables, statistics, the contact sheet, the report, under stable keys.

The same key is a timeline there: each run of a data set and scale adds a version.
"""

from __future__ import annotations

import base64
import math
import re
import shlex
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.client.schemas.sorting import ArtifactSort
from prefect.runtime import flow_run

from flows.config import BenchmarkConfig
from flows.names import run_id, slug
from flows.progress import only_shown
from mkgan_core.errors import MkganError
from mkgan_core.machine.places import public_url
from mkgan_core.machine.plain_text import one_line
from mkgan_core.machine.storage import Store
from mkgan_core.reports import page, statistics, tables
from mkgan_core.reports.contact_sheet import shrunk
from mkgan_core.reports.runs import CONTACT_SHEET, PAGE, Run, RunFolder, open_run

IMAGE_ROWS = 200  # a table's event may have 1.5 MB
FAILURES = 20  # named in the text; all are in the report
LOOK_BACK = 50  # versions of the comparison in which the previous run is looked for
SHEET_BYTES = 150_000
_MARKS = re.compile(r"([\\`*<>\[\]|#!~&$]|(?<![^\W_])_|_(?![^\W_]))")  # `_` inside a word marks nothing


def publish(run: Run, config: BenchmarkConfig, sheet: bytes | None) -> None:
    """Create the run's artifacts; writes `report.html` beside its report. What cannot be shown is logged.

    Args:
        run: its tables.
        config: what was asked for.
        sheet: the contact sheet, PNG; None where it could not be drawn.
    """
    key, store, title = slug(config), Store(config.store), escaped(run.title)
    folder = RunFolder.of(run.names[0], store.uri).store
    with only_shown("page"):
        folder.write(PAGE, page.render(run).encode())
    with only_shown("comparison"):
        before = previous(config)
        about = "Means per method"
        against = (
            f"; `change` is in dB PSNR Y since {escaped(before.names[0])}, on the images of both" if before else ""
        )
        table = comparison(run, before)
        create_table_artifact(key=f"comparison-{key}", table=table, description=f"{about}, {title}{against}")
    with only_shown("statistics"):
        about = "differences in dB PSNR Y image by image, 95 % bootstrap interval, Wilcoxon p"
        create_table_artifact(key=f"statistics-{key}", table=paired_statistics(run), description=f"{title}: {about}")
    with only_shown("table of images"):
        rows, about = per_image(run)
        create_table_artifact(key=f"images-{key}", table=rows, description=f"{title}: PSNR Y in dB, {about}")
    if sheet:
        with only_shown("contact sheet"):
            _show_sheet(f"sheet-{key}", run, store, sheet)
    with only_shown("summary"):
        markdown = summary(run, store, folder.uri_of(PAGE))
        create_markdown_artifact(key=f"report-{key}", markdown=markdown, description=title)


def previous(config: BenchmarkConfig) -> Run | None:
    """The run before this one of the same data set, scale, preset and store, as the server remembers it."""
    chosen = ArtifactFilter(key=ArtifactFilterKey(any_=[f"comparison-{slug(config)}"]))
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=chosen, sort=ArtifactSort.CREATED_DESC, limit=LOOK_BACK)
    this = str(flow_run.id)
    for other in dict.fromkeys(str(artifact.flow_run_id) for artifact in found):
        try:
            if other != this:
                return open_run(run_id(config, other), config.store)
        except MkganError:  # another preset, another store, a damaged report
            continue
    return None


def comparison(run: Run, before: Run | None) -> list[dict[str, Any]]:
    """One row per method: the means, and how PSNR Y changed since the run before."""
    now = statistics.score_table(run.rows)
    then = statistics.score_table(before.rows) if before else now.iloc[:0]
    rows = []
    for means in tables.comparison(run.rows).to_dict("records"):
        name = str(means["method"])
        cells: dict[str, Any] = {"method": escaped(name)}
        for name_of, column in tables.COLUMNS.items():
            cells[column.heading] = plain(means[name_of], column.digits)
            if name_of == "delta_psnr_y":
                both = name in now and name in then
                cells["change"] = plain((now[name] - then[name]).mean(), 3) if both else None
        rows.append(cells)
    return rows


def paired_statistics(run: Run) -> list[dict[str, Any]]:
    """The comparisons that the run is about, each followed by its splits by kind of image."""
    scores = statistics.score_table(run.rows)
    rows = []
    for a, b in run.pairs:
        if a not in scores or b not in scores:
            continue
        lines: list[tuple[str, dict[Any, Any]]] = [("all", vars(statistics.paired(scores, a, b)))]
        splits = statistics.splits(scores, a, b, run.images).to_dict("records")
        lines.extend((tables.split_label(part), part) for part in splits)
        for which, found in lines:
            figures = {"n": found["images"], "mean dB": found["mean"], "low": found["low"], "high": found["high"]}
            figures |= {"median": found["median"], "std": found["std"], "win rate": found["win_rate"]}
            cells = {name: plain(value, 3) for name, value in figures.items()}
            rows.append(
                {"comparison": escaped(f"{a} − {b}"), "images": which, **cells, "p": plain(found["p_value"], 5)}
            )
    return rows


def per_image(run: Run) -> tuple[list[dict[str, Any]], str]:
    """One row per image, worst difference first, and what the difference is; of many, both ends."""
    scores: Any = statistics.score_table(run.rows)
    pair = next(((a, b) for a, b in run.pairs if a in scores and b in scores), None)
    about = "by image"
    if pair:
        scores["difference"] = scores[pair[0]] - scores[pair[1]]
        scores = scores.sort_values("difference", na_position="first")
        about = f"sorted by the difference {escaped(pair[0])} − {escaped(pair[1])}"
    if len(scores) > IMAGE_ROWS:
        import pandas as pd

        about += f"; the first and last {IMAGE_ROWS // 2} of {len(scores)} images, all of them are in the report"
        scores = pd.concat([scores.iloc[: IMAGE_ROWS // 2], scores.iloc[-(IMAGE_ROWS // 2) :]])
    shown = scores.reset_index().drop(columns="scale")
    return [{name: plain(v, 3) for name, v in row.items()} for row in shown.to_dict("records")], about


def summary(run: Run, store: Store, html: str) -> str:
    """Markdown: where the report is, what failed, which method is behind bicubic."""
    folder = html.removesuffix("/report.html")
    link = public_url(store, html)
    lines = [f"# {escaped(run.title)}", ""]
    lines += [f"[The report as a page](<{link}>)" if link else f"The report as a page: {code(html)}", ""]
    lines += [f"The tables: {code(f'{folder}/report.parquet')}, beside it `regions.parquet` and `images.parquet`.", ""]
    lines += [f"    mkgan report {shlex.quote(one_line(f'{folder}/report.parquet'))}", ""]
    lines += [f"Note: {escaped(note)}\n" for note in run.notes]
    failed: Any = run.rows[run.rows["status"] != "ok"]
    if len(failed):
        lines += [f"## {len(failed)} of {len(run.rows)} rows failed", ""]
        lines += [f"Only what failed runs again with the Retry button, or {code(f'mkgan retry {run.names[0]}')}.", ""]
        for row in failed.head(FAILURES).to_dict("records"):
            what = escaped(f"{row['image']} {row['method']} seed {row['seed']}")
            lines.append(f"- {what}: {code(str(row['error'])[:300])}")
    behind = [row for row in tables.comparison(run.rows).to_dict("records") if row["behind_bicubic"]]
    if behind:
        lines += ["", "## Behind plain bicubic enlargement", ""]
        lines += [f"- {escaped(row['method'])}: {escaped(str(row['behind_bicubic'])[:300])}" for row in behind]
    return "\n".join(lines)


def escaped(text: str) -> str:
    r"""Text that the UI shows as it is, in Markdown and in the cells of tables, which it reads as Markdown too.

    Example:
        >>> print(escaped("im_1 <b> ![x](javascript:y) | _"))
        im_1 \<b\> \!\[x\](javascript:y) \| \_
    """
    return _MARKS.sub(r"\\\1", one_line(text))


def code(text: str) -> str:
    """Text as code in Markdown, whatever backticks it has.

    Example:
        >>> print(code("a `b` c"))
        ``a `b` c``
    """
    text = one_line(text) or " "
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def plain(value: Any, places: int) -> Any:
    """A cell that the UI can show: escaped text, Python numbers, None for what is missing or infinite."""
    if value is None or isinstance(value, str):
        return value and escaped(value)
    number = float(value)
    return round(number, places or None) if math.isfinite(number) else None  # without places a whole number


def _show_sheet(key: str, run: Run, store: Store, sheet: bytes) -> None:
    """By its public address, or small enough to be in the artifact itself."""
    uri = RunFolder.of(run.names[0], store.uri).store.uri_of(CONTACT_SHEET)
    url = public_url(store, uri)
    if url is None:
        small = base64.b64encode(shrunk(sheet, SHEET_BYTES)).decode()
        url = f"data:image/webp;base64,{small}"
    create_image_artifact(key=key, image_url=url, description=f"{escaped(run.title)}; at full size: {escaped(uri)}")
