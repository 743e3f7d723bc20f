"""A password in the data set's URL: the run can use it, and it is nowhere afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from prefect.settings import get_current_settings

from mkgan_core.machine import secrets
from tests.locked_server import PASSWORD, SECRETS, USER, leaks, serving


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts without any secret in memory, and what it learns ends with it."""
    monkeypatch.setenv(secrets.MEMORY, "")


def database_of_the_server() -> Path:
    url = get_current_settings().server.database.connection_url
    assert url is not None
    return Path(url.get_secret_value().removeprefix("sqlite+aiosqlite:///")).parent


def test_a_run_leaves_no_password(
    mkgan, dataset_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = tmp_path / "store"
    options = ["--method", "bicubic", "--store", str(store), "-v"]
    with serving(dataset_folder, lost="/lr_x2/im_2.png", after=2) as place:
        code, out, err = mkgan("benchmark", "--dataset", f"http://{USER}:{PASSWORD}@{place}", *options)
        assert code == 1, err  # an image that is gone after planning: its error is shown and logged
        printed = out + err + caplog.text
        assert "im_2.png" in printed
        assert f"http://***@{place}" in printed
        assert not [secret for secret in SECRETS if secret in printed]
        (run,) = (path.name for path in (store / "runs").iterdir())
        assert run.startswith(place.replace(".", "-").replace(":", "-"))
        assert not leaks(store, database_of_the_server(), get_current_settings().home)

        page = tmp_path / "page.html"
        code, out, err = mkgan("report", run, "--store", str(store), "--html", str(page))
        assert code == 0
        assert "image/webp" in page.read_text()
        assert not leaks(tmp_path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(secrets.MEMORY, "")  # as in another process, tomorrow
        code, out, err = mkgan("retry", run, "--store", str(store))
        assert code == 2
        assert f"http://***@{place}" in err
        assert err.count("\n") == 1
        code, out, err = mkgan("report", run, "--store", str(store), "--html", str(page))
        assert code == 0
        assert "Not shown: " in page.read_text()


@pytest.mark.parametrize("query", ["", "?sig=abc123tokentoken"])
def test_errors_name_the_masked_url(mkgan, dataset_folder: Path, tmp_path: Path, query: str) -> None:
    with serving(dataset_folder) as place:
        for login, port in ((f"{USER}:no{PASSWORD}", place), (f"{USER}:{PASSWORD}", "127.0.0.1:1")):
            url = f"http://{login}@{port}/{query}"
            for command in (
                ["benchmark", "--dataset", url, "--store", str(tmp_path / "store")],
                ["benchmark", "--dataset", "sample", "--store", url],
                ["report", "run", "--store", url],
                ["report", f"http://{login}@{port}/runs/x/report.parquet{query}"],
                ["dataset", "check", url],
                ["upscale", f"http://{login}@{port}/x.png{query}", "--out", str(tmp_path / "out")],
            ):
                code, out, err = mkgan(*command)
                assert code != 0
                assert "Traceback" not in out + err
                assert not [secret for secret in (*SECRETS, f"no{PASSWORD}") if secret in out + err], command
    assert not leaks(tmp_path, database_of_the_server())
