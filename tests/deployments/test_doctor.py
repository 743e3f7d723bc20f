"""The doctor's findings, on this machine and about a server that a stub plays."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import prefect
import pytest
from prefect.client import orchestration
from prefect.exceptions import ObjectNotFound

from deployments import doctor, set_up
from tests.data_sets import write_data_set

MACHINE = ["Python", *doctor.PINNED, "device", "store", "DIV2KRK", "weights", *doctor.OPTIONAL, "server"]


class Server:
    """Answers as a Prefect server that is set up well, but for what a test changes."""

    def __init__(self) -> None:
        self.pool: Any = SimpleNamespace(type="process", is_paused=False)
        self.queues, self.deployments = list(set_up.QUEUES), set_up.deployment_names()
        self.workers, self.slots, self.version, self.automation = ["ONLINE"], 16, prefect.__version__, True

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *fault: object) -> None:
        pass

    def request(self, method: str, path: str) -> Any:
        return SimpleNamespace(json=lambda: self.version)

    def read_work_pool(self, name: str) -> Any:
        return self.pool or self._missing()

    def read_work_queues(self, work_pool_name: str) -> Any:
        return [SimpleNamespace(name=name) for name in self.queues]

    def read_workers_for_work_pool(self, name: str) -> Any:
        return [SimpleNamespace(status=status) for status in self.workers]

    def read_concurrency_limit_by_tag(self, tag: str) -> Any:
        return self._missing() if self.slots is None else SimpleNamespace(concurrency_limit=self.slots)

    def read_deployments(self) -> Any:
        return [SimpleNamespace(name=name) for name in self.deployments]

    def read_automations_by_name(self, name: str) -> Any:
        return [] if self.automation is None else [SimpleNamespace(enabled=self.automation, description="watches")]

    def _missing(self) -> Any:
        raise ObjectNotFound(Exception())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    stub = Server()
    monkeypatch.setattr(doctor, "use_configured_api", lambda: "http://server/api")
    monkeypatch.setattr(doctor, "answers", lambda url: True)
    monkeypatch.setattr(orchestration, "get_client", lambda **options: stub)
    monkeypatch.setenv("MKGAN_PUBLIC_URL", "http://files")
    return stub


def examine(folder: Path) -> dict[str, doctor.Finding]:
    return {finding.check: finding for finding in doctor.examine(str(folder / "store"), str(folder / "set"))}


def test_a_machine_without_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "use_configured_api", lambda: None)
    write_data_set(tmp_path / "set")
    findings = examine(tmp_path)
    assert list(findings) == MACHINE
    assert findings["store"] == doctor.ok("store", (tmp_path / "store").as_uri())
    assert findings["DIV2KRK"] == doctor.ok("DIV2KRK", f"{tmp_path / 'set'}, 2 images at x2")
    assert findings["weights"].state == findings["server"].state == "note"
    assert all(findings[name].state == "ok" for name in ("Python", *doctor.PINNED))


def test_what_is_wrong_comes_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "use_configured_api", lambda: "http://nowhere/api")
    monkeypatch.setattr(doctor, "answers", lambda url: False)
    monkeypatch.setattr(doctor, "version", lambda name: "0.1" if name == "torch" else "3.8.8")
    (tmp_path / "store").write_text("a file, no folder")
    findings = examine(tmp_path)
    assert findings["torch"].found.startswith("0.1, needs ")
    for name in ("torch", "store", "server"):
        assert findings[name].state == "wrong"
        assert findings[name].remedy
    assert findings["DIV2KRK"].state == "note"  # nobody needs it but the scheduled runs


def test_a_server_that_is_set_up(tmp_path: Path, server: Server) -> None:
    findings = examine(tmp_path)
    on_server = {name: finding for name, finding in findings.items() if name not in MACHINE}
    assert [finding.state for finding in on_server.values()] == ["ok"] * 7
    assert all(finding.remedy == "" for finding in on_server.values())
    assert on_server["work pool"].found == "mkgan-gpu (process)"
    assert on_server["workers"].found == "1 online"


@pytest.mark.parametrize(
    ("change", "check", "found", "remedy"),
    [
        ({"pool": None}, "work pool", "no mkgan-gpu", "mkgan deploy"),
        ({"queues": ["scheduled"]}, "work pool", "no queue interactive", "mkgan deploy"),
        ({"pool": SimpleNamespace(type="process", is_paused=True)}, "work pool", "paused", "UI"),
        ({"workers": ["OFFLINE"]}, "workers", "0 online", "prefect worker start"),
        ({"slots": None}, "GPU slots", "no limit", "mkgan deploy"),
        ({"slots": 0}, "GPU slots", "0", "--gpu-slots"),
        ({"deployments": ["upscale"]}, "deployments", "sample-smoke", "mkgan deploy"),
        ({"automation": None}, "mkgan: crash zombie runs", "missing", "mkgan deploy"),
        ({"version": "2.20.1"}, "server's version", "2.20.1", "2.20.1"),
    ],
)
def test_a_server_that_is_not(
    tmp_path: Path, server: Server, change: dict[str, Any], check: str, found: str, remedy: str
) -> None:
    vars(server).update(change)
    finding = examine(tmp_path)[check]
    assert finding.state == "wrong"
    assert found in finding.found
    assert remedy in finding.remedy


def test_an_automation_may_be_switched_off(tmp_path: Path, server: Server) -> None:
    server.automation = False
    assert examine(tmp_path)["mkgan: crash zombie runs"] == doctor.note("mkgan: crash zombie runs", "switched off")
