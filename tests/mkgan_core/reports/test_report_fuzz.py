"""Parquet that no run wrote: a report is shown, or refused with one line; nothing else happens."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mkgan_core.errors import MkganError
from mkgan_core.reports import page, runs
from mkgan_core.reports.schema import images_schema, regions_schema, report_schema
from tests.data_sets import write_data_set
from tests.drive import benchmark

TABLES = {"report.parquet": report_schema(), "regions.parquet": regions_schema(), "images.parquet": images_schema()}
fuzz = settings(
    max_examples=10,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
texts = st.text(max_size=12) | st.sampled_from(
    ["", "bicubic", "ok", "im_1", "[/b]", "$x", "../..", "file:///etc/passwd"]
)
numbers = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 1, 2, 4])
reals = st.floats(allow_subnormal=False) | st.sampled_from([0.0, 1.0, 30.0])
columns = st.one_of(
    st.lists(st.none() | texts, min_size=4, max_size=4),
    st.lists(st.none() | numbers, min_size=4, max_size=4),
    st.lists(st.none() | reals, min_size=4, max_size=4),
    st.lists(st.none() | st.booleans(), min_size=4, max_size=4),
    st.lists(st.none() | st.binary(max_size=8), min_size=4, max_size=4),
    st.lists(st.none() | st.datetimes(), min_size=4, max_size=4),
    st.lists(st.lists(numbers, max_size=2), min_size=4, max_size=4),
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("fuzz")
    uri = benchmark(write_data_set(folder / "set"), str(folder / "store"), ["bicubic", "bicubic+back-projection"])
    made = Path(uri.removeprefix("file://")).parent
    return {name: (made / name).read_bytes() for name in TABLES}


@pytest.fixture
def folder(whole: dict[str, bytes], tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "store" / "runs" / "run"
    made.mkdir(parents=True)
    yield made
    shutil.rmtree(tmp_path / "store")


def show(folder: Path, files: dict[str, bytes]) -> None:
    """Open a report and make its page, or be refused."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    try:
        run = runs.open_run(str(folder / "report.parquet"), "memory://unused")
    except MkganError as fault:
        refused = str(fault)
        assert "report.parquet" in refused
        return
    assert page.render(run)
    runs.beside(run, run)


@fuzz
@given(name=st.sampled_from([*TABLES]), data=st.data())
def test_bytes_changed(whole: dict[str, bytes], folder: Path, name: str, data: st.DataObject) -> None:
    damaged = bytearray(whole[name])
    # most of what decides how a file is read is in its end
    places = st.integers(0, len(damaged) - 1) | st.integers(max(0, len(damaged) - 3000), len(damaged) - 1)
    for at, byte in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=20)):
        damaged[at] = byte
    cut = data.draw(st.none() | st.integers(0, len(damaged)))
    show(folder, {**whole, name: bytes(damaged[:cut])})


@fuzz
@given(name=st.sampled_from([*TABLES]), data=st.data())
def test_columns_replaced(whole: dict[str, bytes], folder: Path, name: str, data: st.DataObject) -> None:
    table = pd.read_parquet(io.BytesIO(whole[name])).iloc[[0, 1, 0, 1]].reset_index(drop=True)
    made = pa.Table.from_pandas(table, preserve_index=False)
    for column in data.draw(st.lists(st.sampled_from(TABLES[name].names), min_size=1, max_size=5, unique=True)):
        at, values = made.column_names.index(column), data.draw(columns)
        field = TABLES[name].field(column)
        try:
            array = pa.array(values).cast(field.type) if data.draw(st.booleans()) else pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            array = pa.array(values)
        made = made.set_column(at, column, array)
    out = io.BytesIO()
    pq.write_table(made, out)
    show(folder, {**whole, name: out.getvalue()})
