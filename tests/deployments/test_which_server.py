"""Which Prefect server a command talks to, and what it takes for none."""

from __future__ import annotations

import json
import os
import re
import socket
import stat
from pathlib import Path

import pytest

from deployments import prefect_settings, server
from deployments.embedded import answers
from deployments.server import AUTH, SERVED, STATE, auth_of, check_configured, served
from mkgan_core.errors import ConfigError
from tests.deployments.stub_api import PREFECT, web_server

PAGE = (200, b"<html>hello</html>")
FOREIGN = [
    ({}, PAGE),
    ({}, (200, b"true")),
    ({"/api/health": (200, b"true")}, PAGE),
    ({"/api/health": (200, b'{"status": "ok"}')}, (404, b"")),
    ({}, (200, b"\xff" * 5000)),
    ({}, (500, b"")),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("PREFECT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MKGAN_HOME", str(tmp_path))
    (tmp_path / STATE).mkdir()
    return tmp_path


@pytest.mark.parametrize(("known", "other"), FOREIGN)
def test_another_web_server_is_no_prefect(known: dict[str, tuple[int, bytes]], other: tuple[int, bytes]) -> None:
    with web_server(known, other) as url:
        assert not answers(url)
        with pytest.raises(ConfigError, match="PREFECT_API_URL") as fault:
            check_configured(url)
        assert url in str(fault.value)


def test_prefect_is_prefect() -> None:
    with web_server(PREFECT) as url:
        assert answers(url)
        check_configured(url)


def test_a_prefect_with_a_password_says_so() -> None:
    with web_server({"/api/health": (200, b"true")}, (401, b'{"exception_message": "Unauthorized"}')) as url:
        assert not answers(url)
        with pytest.raises(ConfigError, match="PREFECT_API_AUTH_STRING"):
            check_configured(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{free}/api", "http://[", "http://nowhere.invalid/api"])
def test_nothing_answers(url: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = url.format(free=probe.getsockname()[1])
        assert not answers(url)
        with pytest.raises(ConfigError, match=re.escape(url)):
            check_configured(url)


@pytest.mark.parametrize(
    "text", ["{bad", "", "[]", "null", '{"api_url": 3, "pid": 1}', '{"api_url": "http://x"}', "\x00", "[" * 100_000]
)
def test_a_damaged_note_is_ignored_and_told(home: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    (home / STATE / SERVED).write_text(text)
    assert served() is None
    assert SERVED in caplog.text


def test_a_note_of_a_dead_process_is_ignored(home: Path) -> None:
    with web_server({}) as url:  # somebody else has the port now
        (home / STATE / SERVED).write_text(json.dumps({"api_url": url, "pid": 2**22 + 1, "auth": None}))
        assert served() is None


def test_the_password_is_made_once_and_for_this_user_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    word = auth_of(home / STATE)
    assert word.startswith("mkgan:") and len(word) > 30
    assert auth_of(home / STATE) == word
    assert stat.S_IMODE((home / STATE / AUTH).stat().st_mode) == 0o600
    monkeypatch.setenv(prefect_settings.SERVER_AUTH, "me:mine")
    assert auth_of(home / STATE) == "me:mine"


@pytest.mark.parametrize("content", [b"", b"word", b"\xff\xfe"])
def test_a_damaged_password_is_told(home: Path, content: bytes) -> None:
    (home / STATE / AUTH).write_bytes(content)
    with pytest.raises(ConfigError, match=AUTH):
        auth_of(home / STATE)


def test_commands_of_the_home_find_server_and_password(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server(PREFECT) as url:
        note = {"api_url": url, "pid": os.getpid(), "auth": "mkgan:word"}
        (home / STATE / SERVED).write_text(json.dumps(note))
        monkeypatch.setattr(os, "environ", dict(os.environ))
        assert server.use_configured_api() == url
        assert os.environ["PREFECT_API_AUTH_STRING"] == "mkgan:word"


def test_a_server_is_closed_to_others(tmp_path: Path) -> None:
    settings = prefect_settings.of_server(tmp_path, "http://127.0.0.1:4300", "mkgan:word")
    assert settings["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "http://127.0.0.1:4300"
    assert settings["PREFECT_SERVER_CSRF_PROTECTION_ENABLED"] == "true"
    assert settings[prefect_settings.SERVER_AUTH] == "mkgan:word"
    assert settings["PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"].endswith("filesystem")


def test_names_by_which_it_may_be_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(prefect_settings.ALLOWED_HOSTS, "bench.example.org, *.lan")
    assert prefect_settings.allowed_hosts("0.0.0.0")[2:] == ["0.0.0.0", "bench.example.org", "*.lan"]
    monkeypatch.setenv(prefect_settings.ALLOWED_HOSTS, "bench*")
    with pytest.raises(ConfigError, match="bench"):
        prefect_settings.allowed_hosts("127.0.0.1")
