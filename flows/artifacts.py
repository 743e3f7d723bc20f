"""The artifacts of a run in the Prefect UI: tables, statistics, the contact sheet and a summary.

Their keys depend only on the data set and the scale, so that the UI shows the artifacts of successive runs as versions.
"""

from __future__ import annotations

import base64
import math
import re
import shlex
from typing import Any
from urllib.parse import quote

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
from mkgan_core.reports import page, ranking, statistics, tables
from mkgan_core.reports.contact_sheet import shrunk
from mkgan_core.reports.runs import CONTACT_SHEET, IMAGES, PAGE, REGIONS, REPORT, Run, RunFolder, open_run

IMAGE_ROWS = 200  # rows of the table of images; the event of an artifact must be smaller than 1.5 MB
FAILURES = 20  # failed rows in the summary; the report has all
LOOK_BACK = 50  # versions of the comparison to search for the previous run
SHEET_BYTES = 150_000
NOTHING = "–"  # cell without a value
FILES = {"All rows": REPORT, "Regions": REGIONS, "Images": IMAGES, "Contact sheet": CONTACT_SHEET}
SAFE = ":/?#[]@!$&'()*+,;=%~"  # characters that are not escaped in a URL
_MARKS = re.compile(r"([\\`*<>\[\]|#!~&$]|(?<![^\W_])_|_(?![^\W_]))")  # `_` inside a word is no markup


def publish(run: Run, config: BenchmarkConfig, sheet: bytes | None) -> None:
    """Create the run's artifacts, and write the page `report.html` into the run's folder.

    If an artifact cannot be created, a warning is logged.

    Args:
        run: the tables of the run.
        config: of the run.
        sheet: the contact sheet, PNG; None if it could not be drawn.
    """
    key, store, title = slug(config), Store(config.store), escaped(run.title)
    folder = RunFolder.of(run.names[0], store.uri).store
    with only_shown("page"):
        folder.write(PAGE, page.render(run).encode())
    link = page_link(store, folder.uri_of(PAGE))
    with only_shown("comparison"):
        before = previous(config)
        about = f"**{escaped(ranking.headline(run.rows))}**. {link}Means per method"
        against = (
            f"; `change` is in dB PSNR Y since {escaped(before.names[0])}, on the images of both" if before else ""
        )
        table = comparison(run, before)
        create_table_artifact(key=f"comparison-{key}", table=table, description=f"{about}, {title}{against}")
    with only_shown("statistics"):
        about = f"{link}{title}: differences in dB PSNR Y image by image, 95 % bootstrap interval, Wilcoxon p"
        create_table_artifact(key=f"statistics-{key}", table=paired_statistics(run), description=about)
    with only_shown("table of images"):
        rows, about = per_image(run)
        about = f"{link}{title}: PSNR Y in dB, {about}; **bold**: the best blind method"
        create_table_artifact(key=f"images-{key}", table=rows, description=about)
    if sheet:
        with only_shown("contact sheet"):
            _show_sheet(f"sheet-{key}", run, store, sheet)
    with only_shown("summary"):
        markdown = summary(run, store, folder.uri_of(PAGE))
        create_markdown_artifact(key=f"report-{key}", markdown=markdown, description=title)


def previous(config: BenchmarkConfig) -> Run | None:
    """The previous run on this server with the same data set, scale, preset and store; None if there is none."""
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
    """One row per method: the means as text, the best in bold, and the change of PSNR Y since the previous run."""
    now = statistics.score_table(run.rows)
    then = statistics.score_table(before.rows) if before else now.iloc[:0]
    means = tables.comparison(run.rows).to_dict("records")
    oracles = ranking.oracles(run.rows)
    best = ranking.marks(means, oracles)
    rows = []
    for row in means:
        name = str(row["method"])
        cells: dict[str, Any] = {"method": escaped(name) + (" (oracle)" if name in oracles else "")}
        for score, column in tables.COLUMNS.items():
            text = NOTHING if row[score] is not None and math.isinf(row[score]) else tables.figure(score, row)
            cells[column.heading] = bold(text, name in best.get(score, ()))
            if score == "seconds_total":
                both = name in now and name in then
                cells["change"] = signed((now[name] - then[name]).mean()) if both else NOTHING
        rows.append(cells)
    return rows


def paired_statistics(run: Run) -> list[dict[str, Any]]:
    """The run's main comparisons, each followed by its splits by kind of image."""
    scores = statistics.score_table(run.rows)
    rows = []
    for a, b in run.pairs:
        if a not in scores or b not in scores:
            continue
        lines: list[tuple[str, dict[Any, Any]]] = [("all", vars(statistics.paired(scores, a, b)))]
        splits = statistics.splits(scores, a, b, run.images).to_dict("records")
        lines.extend((tables.split_label(part), part) for part in splits)
        for which, found in lines:
            figures = dict(zip(tables.PAIR_HEADINGS, tables.pair_cells(found), strict=True))
            rows.append({"comparison": escaped(f"{a} − {b}"), "images": escaped(which), **figures})
    return rows


def per_image(run: Run) -> tuple[list[dict[str, Any]], str]:
    """The table of images, and a sentence about its order.

    Returns:
        One row per image, sorted by the difference of the run's first comparison, the smallest first; if there are more
        than `IMAGE_ROWS`, the first and the last of them.
    """
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
    best = ranking.image_marks(scores, {*ranking.oracles(run.rows), "difference"})
    rows = []
    for place, figures, marked in zip(scores.index, scores.to_dict("records"), best, strict=True):
        cells = {"image": escaped(str(place[0]))}
        if pair:
            cells["difference"] = signed(figures.pop("difference"))
        for name, value in figures.items():
            known = math.isfinite(value)
            cells[escaped(name)] = bold(f"{value:.2f}" if known else NOTHING, known and name in marked)
        rows.append(cells)
    return rows, about


def summary(run: Run, store: Store, html: str) -> str:
    """Markdown with the result, links to the report's files, the failed rows, and the images behind bicubic."""
    folder = html.removesuffix("/report.html")
    lines = [f"# {escaped(run.title)}", "", f"**{escaped(ranking.headline(run.rows))}**", ""]
    lines += [f"- The report as a page: {linked(store, html)}"]
    lines += [f"- {what}: {linked(store, f'{folder}/{name}')}" for what, name in FILES.items()]
    lines += [""]
    command = f"mkgan report {shlex.quote(one_line(f'{folder}/report.parquet'))}"
    lines += [f"In a terminal: {code(command)}", ""]
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


def linked(store: Store, uri: str) -> str:
    """A file of the store in Markdown: a link if browsers can reach the store, otherwise its address."""
    link = public_url(store, uri)
    return f"[{escaped(uri.rpartition('/')[2])}](<{quote(link, safe=SAFE)}>)" if link else code(uri)


def page_link(store: Store, html: str) -> str:
    """A link to the page, to put before a description; empty if browsers cannot reach the store."""
    link = public_url(store, html)
    return f"[Report as a page](<{quote(link, safe=SAFE)}>). " if link else ""


def bold(text: str, marked: bool) -> str:
    """A cell, bold if it is marked.

    Example:
        >>> bold("31.86", True)
        '**31.86**'
    """
    return f"**{text}**" if marked else text


def signed(value: float) -> str:
    """A difference in dB; a dash if it is unknown.

    Example:
        >>> signed(0.25), signed(float("nan"))
        ('+0.250', '–')
    """
    return f"{value:+.3f}" if math.isfinite(value) else NOTHING


def escaped(text: str) -> str:
    r"""Escape a text for Markdown and for the cells of tables, which the UI reads as Markdown too.

    Example:
        >>> print(escaped("im_1 <b> ![x](javascript:y) | _"))
        im_1 \<b\> \!\[x\](javascript:y) \| \_
    """
    return _MARKS.sub(r"\\\1", one_line(text))


def code(text: str) -> str:
    """Format a text as code in Markdown, even if it contains backticks.

    Example:
        >>> print(code("a `b` c"))
        ``a `b` c``
    """
    text = one_line(text) or " "
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _show_sheet(key: str, run: Run, store: Store, sheet: bytes) -> None:
    """Show the contact sheet by its public address if it has one; otherwise embed a small copy in the artifact."""
    uri = RunFolder.of(run.names[0], store.uri).store.uri_of(CONTACT_SHEET)
    url = public_url(store, uri)
    if url is None:
        small = base64.b64encode(shrunk(sheet, SHEET_BYTES)).decode()
        url = f"data:image/webp;base64,{small}"
    create_image_artifact(
        key=key, image_url=url, description=f"{escaped(run.title)}; at full size: {linked(store, uri)}"
    )
