"""Export of a run: the enlarged images by method, and the tables as CSV, Markdown and LaTeX."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mkgan_core.errors import ArtifactError, MkganError
from mkgan_core.importing import importing
from mkgan_core.machine.plain_text import one_line
from mkgan_core.machine.storage import Store
from mkgan_core.reports import ranking, statistics, tables
from mkgan_core.reports.runs import Run, records

if TYPE_CHECKING:
    import pandas as pd

_PNG = b"\x89PNG\r\n\x1a\n"
_UNUSABLE = re.compile(r'[/\\:*?"<>|\x00-\x1f]')  # in file names, on at least one operating system


@dataclass
class Exported:
    """The files that an export wrote.

    Attributes:
        images: names of the enlarged images.
        tables: names of the tables.
        lacking: one line for each file that could not be written, with the reason.
    """

    images: list[str] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    lacking: list[str] = field(default_factory=list)


def export(run: Run, out: Store) -> Exported:
    """Write ``<method>/<image>.png`` for every finished row, and the tables.

    A ``/`` in a method's name becomes ``_`` in the name of its folder. ``<image>.png`` comes from the first seed that
    finished; further seeds are ``<image>_seed<N>.png``. The tables are ``comparison`` (means per method),
    ``differences`` (the run's paired comparisons) and ``images`` (PSNR Y per image and method). Each is written as
    ``.csv`` with all digits, and as ``.md`` and ``.tex`` with the page's digits and the best values in bold.
    ``report.csv`` contains all rows.

    Args:
        run: the run to export.
        out: the folder to write into; existing files with these names are replaced.

    Returns:
        The names of the written files. Images that are missing or damaged are skipped and listed in ``lacking``.

    Raises:
        StorageError: if the folder cannot be written.
    """
    done = Exported()
    folders = {name: file_name(name) for name in run.rows["method"].unique()}
    finished = run.rows[(run.rows["status"] == "ok") & run.rows["output_uri"].notna()]
    seen: set[tuple[str, str]] = set()
    for row in records(finished):
        place = (row["method"], row["image"])
        name = file_name(row["image"]) + (f"_seed{row['seed']}" if place in seen else "")
        try:
            data = run.read(row["output_uri"])
            if not data.startswith(_PNG):
                raise ArtifactError(f"{row['output_uri']} is damaged: it is no PNG; run the benchmark again")
        except MkganError as fault:
            done.lacking.append(one_line(f"{row['image']} {row['method']} seed {row['seed']}: {fault}"))
            continue
        seen.add(place)
        out.write(f"{folders[row['method']]}/{name}.png", data)
        done.images.append(f"{folders[row['method']]}/{name}.png")
    for name, text in _tables(run):
        out.write(name, text.encode("utf-8", "backslashreplace"))
        done.tables.append(name)
    return done


def file_name(name: str) -> str:
    """Turn the name of a method or an image into a file name that is valid on all operating systems.

    Example:
        >>> file_name("given/spectral+zssr"), file_name("../im_1"), file_name("..")
        ('given_spectral+zssr', '.._im_1', '__')
    """
    plain = _UNUSABLE.sub("_", name)
    return plain if plain.strip(". ") else "_" * max(1, len(plain))


def _tables(run: Run) -> list[tuple[str, str]]:
    """Names and contents of the tables."""
    made = [("report.csv", run.rows.to_csv(index=False))]
    for name, raw, shown, bold in (_comparison(run), _differences(run), _per_image(run)):
        made += [(f"{name}.csv", raw.to_csv(index=False)), (f"{name}.md", _markdown(shown, bold))]
        made.append((f"{name}.tex", _latex(shown, bold)))
    return made


# a table: its name, its values with all digits, its cells as text, and which cells are bold, as (row, column)
_Table = tuple[str, "pd.DataFrame", "pd.DataFrame", set[tuple[int, str]]]


def _comparison(run: Run) -> _Table:
    with importing:
        import pandas as pd

    means = tables.comparison(run.rows)
    rows, oracles = means.to_dict("records"), ranking.oracles(run.rows)
    best = ranking.marks(rows, oracles)
    shown = [
        {
            "method": f"{row['method']} (oracle)" if row["method"] in oracles else row["method"],
            **{column.heading: tables.figure(name, row) for name, column in tables.COLUMNS.items()},
        }
        for row in rows
    ]
    bold = {
        (at, tables.COLUMNS[name].heading)
        for name, methods in best.items()
        for at, row in enumerate(rows)
        if row["method"] in methods
    }
    raw = means.assign(oracle=means["method"].isin(sorted(oracles)))
    return "comparison", raw, pd.DataFrame(shown), bold


def _differences(run: Run) -> _Table:
    with importing:
        import pandas as pd

    scores = statistics.score_table(run.rows)
    found = [statistics.paired(scores, a, b) for a, b in run.pairs if a in scores and b in scores]
    labels = [f"{pair.a} − {pair.b}" for pair in found]
    shown = [[label, *tables.pair_cells(vars(pair))] for label, pair in zip(labels, found, strict=True)]
    raw = pd.DataFrame([vars(pair) for pair in found], columns=list(statistics.Paired.__dataclass_fields__))
    return "differences", raw, pd.DataFrame(shown, columns=["difference", *tables.PAIR_HEADINGS]), set()


def _per_image(run: Run) -> _Table:
    scores = statistics.score_table(run.rows)
    raw = scores.reset_index()
    column = tables.COLUMNS["psnr_y"]
    shown = raw.assign(**{name: [column.text(value) for value in raw[name]] for name in scores.columns})
    best = ranking.image_marks(scores, ranking.oracles(run.rows))
    bold = {(at, name) for at, methods in enumerate(best) for name in methods}
    return "images", raw, shown.astype(str), bold


def _markdown(shown: pd.DataFrame, bold: set[tuple[int, str]]) -> str:
    """A Markdown table with right-aligned numbers; characters with a meaning in Markdown are escaped."""
    escaped = shown.map(lambda text: re.sub(r"([\\|*_`<])", r"\\\1", one_line(text)))
    for at, name in bold:
        escaped.loc[at, name] = f"**{escaped.loc[at, name]}**"
    align = ["left", *["right"] * (shown.shape[1] - 1)]
    return escaped.to_markdown(index=False, disable_numparse=True, colalign=align if len(shown) else None) + "\n"


def _latex(shown: pd.DataFrame, bold: set[tuple[int, str]]) -> str:
    r"""A table for LaTeX's package booktabs, the best values with \textbf."""
    styles = shown.map(lambda _: "")
    for at, name in bold:
        styles.loc[at, name] = "textbf:--rwrap;"
    plain = shown.map(lambda text: one_line(text).replace("−", "--")).rename(columns=_latex_escaped)
    styles.columns = plain.columns
    styled = plain.style.hide(axis="index").format(escape="latex").apply(lambda _: styles, axis=None)
    table = styled.to_latex(hrules=True, column_format="l" + "r" * (shown.shape[1] - 1))
    return f"% needs \\usepackage{{booktabs}}\n{table}"


def _latex_escaped(text: str) -> str:
    """A heading with LaTeX's special characters escaped."""
    return re.sub(r"([&%$#_{}])", r"\\\1", one_line(str(text)).replace("\\", "/"))
