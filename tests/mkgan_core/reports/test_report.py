from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from mkgan_core.datasets.layout import Dataset
from mkgan_core.errors import ConfigError
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline.method import parse
from mkgan_core.pipeline.results import RegionResult, Result
from mkgan_core.reports.rows import rows, write
from mkgan_core.reports.runs import IMAGES, REGIONS, RUN_FILE, RunFolder, open_run, read
from mkgan_core.reports.schema import images_schema, regions_schema, report_schema
from mkgan_core.reports.tables import comparison

NOW = datetime(2026, 1, 2, tzinfo=UTC)
STORE = Store("memory://report-files")
REGION = {"name": "object", "key": "k", "mask": None, "area_px": 300}
STEP = {"key": "s", "seconds": 2.0, "peak_memory_mb": 100.0, "threads": 1, "device": "cpu"}
SPLIT = {**STEP, "regions": [], "note": None}
KERNEL = {**STEP, "kernel": {"name": "artifacts/k.npy", "size": 1, "sha256": "9f"}, "attempts": 1, "fallback": None}
UPSCALED = {**STEP, "output": {"name": "artifacts/u.png", "size": 1, "sha256": "9f"}}
SCORES = {
    "psnr_y": 30.0,
    "ssim_y": 0.9,
    "psnr_rgb": 28.0,
    "ssim_rgb": 0.8,
    "mse_rgb": 100.0,
    "kernel_psnr": [25.0, 31.0],
    "kernel_similarity": [0.8, 1.0],
}


@pytest.fixture
def results(dataset_folder: Path) -> list[Result]:
    specs = Dataset(str(dataset_folder)).plan(2)
    multi, plain = parse("given/kernelgan+zssr"), parse("bicubic")
    two = [
        RegionResult(REGION, KERNEL, UPSCALED),
        RegionResult({**REGION, "name": "background", "area_px": 100}, KERNEL, UPSCALED),
    ]
    failed = [RegionResult(REGION, KERNEL, None, error="upscale: out of memory"), two[1]]
    one = [RegionResult(REGION, None, UPSCALED)]
    bicubic = {**SCORES, "psnr_y": 31.0, "kernel_psnr": [None], "kernel_similarity": [None]}
    return [
        Result(specs[0], plain, 0, SPLIT, one, bicubic, None),
        Result(specs[0], multi, 0, SPLIT, two, SCORES, None),
        Result(specs[1], plain, 0, SPLIT, one, {**bicubic, "psnr_y": 28.0}, None),
        Result(specs[1], multi, 0, SPLIT, failed, None, "upscale: out of memory"),
    ]


def _rows(results: list[Result]) -> tuple[list[dict], list[dict]]:
    image_rows, region_rows = [], []
    for result in results:
        row, parts = rows(result, "run-1", "fast", NOW, STORE)
        image_rows.append(row)
        region_rows += parts
    return image_rows, region_rows


def test_the_schema_is_the_contract(results: list[Result]) -> None:
    """Written out once more, because the contract must not change with the code."""
    store = Store("memory://report-test")
    uri = write(RunFolder.of("run-1", store.uri), *_rows(results))
    assert uri == store.uri_of("runs/run-1/report.parquet")
    tables = {
        name: pq.read_table(io.BytesIO(store.read(f"runs/run-1/{name}.parquet")))
        for name in ("report", "regions", "images")
    }
    assert (
        tables["report"].column_names
        == (
            "run_id dataset image scale method segmenter estimator upscaler preset seed regions psnr_y ssim_y psnr_rgb "
            "ssim_rgb mse_rgb kernel_psnr seconds_segment seconds_kernel seconds_upscale seconds_total peak_memory_mb "
            "device threads status error settings_hash version git_sha created_at output_uri kernel_similarity"
        ).split()
    )
    assert (
        tables["regions"].column_names
        == (
            "run_id image scale method seed region area_px fallback kernel_psnr kernel_uri output_uri seconds_kernel "
            "seconds_upscale attempts status error mask_uri kernel_similarity"
        ).split()
    )
    assert (
        tables["images"].column_names
        == (
            "run_id dataset image scale height width low_uri low_sha256 high_uri high_sha256 mask_uri mask_sha256 "
            "kernel_uri kernel_sha256 object_kernel_uri object_kernel_sha256 object_share blur_difference texture "
            "texture_difference more_objects"
        ).split()
    )
    assert all(table.schema.metadata[b"mkgan_schema_version"] == b"1.3" for table in tables.values())
    assert {name: table.num_rows for name, table in tables.items()} == {"report": 4, "regions": 6, "images": 0}


def test_the_types_are_the_contract() -> None:
    whole = "scale seed regions threads area_px attempts height width".split()
    real = (
        "psnr_y ssim_y psnr_rgb ssim_rgb mse_rgb kernel_psnr seconds_segment seconds_kernel seconds_upscale "
        "kernel_similarity seconds_total peak_memory_mb object_share blur_difference texture texture_difference"
    ).split()
    expected = {**dict.fromkeys(whole, "int64"), **dict.fromkeys(real, "double"), "created_at": "timestamp[us, tz=UTC]"}
    for schema in (report_schema(), regions_schema(), images_schema()):
        assert [str(field.type) for field in schema] == [expected.get(name, "string") for name in schema.names]


def test_rows(results: list[Result]) -> None:
    image_rows, region_rows = _rows(results)
    ok, failed = image_rows[1], image_rows[3]
    assert ok["kernel_psnr"] == pytest.approx((25 * 300 + 31 * 100) / 400)
    assert ok["kernel_similarity"] == pytest.approx((0.8 * 300 + 1.0 * 100) / 400)
    assert (ok["seconds_kernel"], ok["seconds_upscale"], ok["seconds_total"]) == (4, 4, 10)
    assert ok["regions"] == 2
    assert failed["status"] == "failed"
    assert failed["psnr_y"] is None
    assert "out of memory" in failed["error"]
    assert [r["status"] for r in region_rows] == ["ok", "ok", "ok", "ok", "failed", "ok"]
    assert {r["output_uri"] for r in region_rows} == {"memory:///report-files/artifacts/u.png", None}


def test_comparison_hides_nothing(results: list[Result]) -> None:
    table = comparison(pd.DataFrame(_rows(results)[0])).set_index("method")
    assert table.loc["given/kernelgan+zssr", "failed"] == 1
    assert table.loc["given/kernelgan+zssr", "delta_psnr_y"] == pytest.approx(-1)
    assert table.loc["given/kernelgan+zssr", "behind_bicubic"] == "im_1"
    assert table.loc["bicubic", "psnr_y"] == pytest.approx(29.5)


def test_a_report_is_found_by_run_or_by_uri(results: list[Result]) -> None:
    store = Store("memory://report-find")
    uri = write(RunFolder.of("run-1", store.uri), *_rows(results))
    assert len(read("run-1", store.uri)) == len(read(uri, "memory://nowhere")) == 4
    with pytest.raises(ConfigError, match=r"'run-2'.*run-1"):
        read("run-2", store.uri)


def test_an_image_left_in_one_piece_is_noted_beside_what_replaced_its_kernel(results: list[Result]) -> None:
    noted = replace(results[1], segmentation={**SPLIT, "note": "yolo found nothing"})
    assert [row["fallback"] for row in rows(noted, "r", "fast", NOW, STORE)[1]] == ["yolo found nothing"] * 2
    kernel = {**KERNEL, "fallback": "kernel off centre; took bicubic"}
    parts = [replace(part, kernel=kernel) for part in noted.regions]
    (first, _) = rows(replace(noted, regions=parts), "r", "fast", NOW, STORE)[1]
    assert first["fallback"] == "yolo found nothing; kernel off centre; took bicubic"
    assert rows(results[1], "r", "fast", NOW, STORE)[1][0]["fallback"] is None


def test_a_run_has_one_folder_however_it_is_named(tmp_path: Path) -> None:
    by_id = RunFolder.of("run-1", f"{tmp_path}/")
    assert by_id.run_id == "run-1"
    assert by_id.store.uri == (tmp_path / "runs" / "run-1").as_uri()
    assert by_id.recent == "none"
    by_id.store.write_json(RUN_FILE, {"flow_run_id": "f"})
    assert by_id.recent == "run-1"
    for name in (by_id.store.uri_of("report.parquet"), f"{tmp_path}/runs/run-1/report.parquet"):
        by_uri = RunFolder.of(name, "memory://nowhere")
        assert by_uri.run_id == "run-1"
        assert by_uri.store.uri == by_id.store.uri
        assert by_uri.store.read_json(RUN_FILE) == {"flow_run_id": "f"}


def test_a_report_may_have_another_name(results: list[Result]) -> None:
    store = Store("memory://report-copy")
    write(RunFolder.of("run-1", store.uri), *_rows(results))
    copy = store.write("monday.parquet", store.read("runs/run-1/report.parquet"))
    assert len(read(copy, "memory://nowhere")) == 4
    with pytest.raises(ConfigError, match=r"tuesday\.parquet"):
        read(store.uri_of("tuesday.parquet"), "memory://nowhere")


def test_the_report_does_not_wait_for_the_tables_beside_it(
    results: list[Result], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    image_rows, region_rows = _rows(results)
    folder = RunFolder.of("run-1", str(tmp_path))
    (tmp_path / "runs" / "run-1" / REGIONS).mkdir(parents=True)  # so that it cannot be written
    pictures = [{"image": "im_1", "height": "no number"}]
    assert write(folder, image_rows, region_rows, pictures) == folder.store.uri_of("report.parquet")
    assert REGIONS in caplog.text
    assert IMAGES in caplog.text
    run = open_run("run-1", str(tmp_path))
    assert len(run.rows) == 4
    assert run.images.empty
    assert REGIONS in run.notes[0]


def test_every_table_is_attempted_again(results: list[Result], tmp_path: Path) -> None:
    tries: list[str] = []

    def twice(work: Callable[[], str]) -> str:
        tries.append(work())
        return work()

    write(RunFolder.of("run-1", str(tmp_path)), *_rows(results), attempt=twice)
    assert [uri.rpartition("/")[2] for uri in tries] == ["report.parquet", REGIONS, IMAGES]


def test_no_message_costs_the_report(results: list[Result], tmp_path: Path) -> None:
    """Not of a name that is not UTF-8; and a password in it is not kept."""
    image_rows, region_rows = _rows(results)
    image_rows[3]["error"] = "cannot read caf\udce9.png of http://alice:secretpw@h/x"
    uri = write(RunFolder.of("run-1", str(tmp_path)), image_rows, region_rows)
    assert read(uri, "memory://x")["error"].iloc[3] == "cannot read caf\\udce9.png of http://***@h/x"
