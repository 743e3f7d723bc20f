"""What serve and deploy can be told, and the environment that they give to Prefect."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from deployments import prefect_settings
from deployments.settings import DataSettings, DeploySettings


def test_defaults_are_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKGAN_HOME", str(tmp_path))
    monkeypatch.delenv("MKGAN_STORE", raising=False)
    expected = DataSettings(div2krk=str(tmp_path / "div2krk"), store=(tmp_path / "store").as_uri())
    assert DataSettings() == expected
    assert DataSettings(div2krk="", store="") == expected


@pytest.mark.parametrize(("name", "value"), [("gpu_slots", 0), ("zombie_after", 29), ("gpu_slots", "many")])
def test_bounds(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as fault:
        DeploySettings.model_validate({name: value})
    assert fault.value.errors()[0]["loc"] == (name,)


def test_the_zombie_limit_is_twice_the_heartbeat_by_default() -> None:
    assert DeploySettings().zombie_after >= 2 * prefect_settings.HEARTBEAT_S


def test_runs_find_the_results_of_others() -> None:
    assert prefect_settings.of_pool("local-file-system/mkgan-results") == {
        "PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": "local-file-system/mkgan-results",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "mkgan_core",
        "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
    }


def test_what_is_set_already_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", "60")
    server = prefect_settings.of_server(tmp_path, "http://127.0.0.1:4300")
    assert server["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] == "60"
    assert server["PREFECT_HOME"] == str(tmp_path)
    assert server["PREFECT_SERVER_DATABASE_TIMEOUT"] == "60"
    assert server["PATH"] == os.environ["PATH"]


def test_new_parameters_are_deployed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the form of an old version would stay, and the server would check runs by it."""
    from deployments import set_up

    before = set_up.version(DeploySettings())
    assert set_up.version(DeploySettings()) == before
    changed = tmp_path / "config.py"
    changed.write_bytes(set_up.PARAMETERS.read_bytes() + b"# more\n")
    monkeypatch.setattr(set_up, "PARAMETERS", changed)
    assert set_up.version(DeploySettings()) != before
