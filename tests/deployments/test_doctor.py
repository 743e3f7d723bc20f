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
from deployments.findings import Finding, note, ok
from deployments.server import SERVED, STATE
from mkgan_core.machine.storage import Store
from tests.data_sets import write_data_set
from tests.deployments.stub_api import web_server

DISKS = ["disk of the home", "disk of the store"]
MACHINE = ["Python", *doctor.PINNED, "device", "cores", "memory", "home", "store", *DISKS, "DIV2KRK", "weights"]
MACHINE += [*doctor.OPTIONAL, "database", "server"]


class Server:
    """Answers as a Prefect server that is set up well, but for what a test changes."""

    def __init__(self) -> None:
        self.pool: Any = SimpleNamespace(type="process", is_paused=False)
        self.queues, self.deployments = list(set_up.QUEUES), set_up.deployment_names()
        self.workers, self.slots, self.version, self.automation = ["ONLINE"], 16, prefect.__version__, True
        self.data, self.active = "sample", True

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
        schedules = {"div2krk-x2-nightly": [SimpleNamespace(active=self.active)]}
        parameters = {"config": {"dataset": self.data, "scale": 2}}
        return [
            SimpleNamespace(name=name, schedules=schedules.get(name, []), parameters=parameters)
            for name in self.deployments
        ]

    def read_automations_by_name(self, name: str) -> Any:
        return [] if self.automation is None else [SimpleNamespace(enabled=self.automation, description="watches")]

    def _missing(self) -> Any:
        raise ObjectNotFound(Exception())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    stub = Server()
    monkeypatch.setattr(doctor, "use_configured_api", lambda: "http://server/api")
    monkeypatch.setattr(doctor, "check_configured", lambda url: None)
    monkeypatch.setattr(orchestration, "get_client", lambda **options: stub)
    monkeypatch.setenv("MKGAN_PUBLIC_URL", "http://files")
    return stub


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MKGAN_HOME", str(tmp_path / "home"))
    for name in ("PREFECT_API_URL", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def examine(folder: Path) -> dict[str, Finding]:
    return {finding.check: finding for finding in doctor.examine(str(folder / "store"), str(folder / "set"))}


def test_a_machine_without_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "use_configured_api", lambda: None)
    write_data_set(tmp_path / "set")
    findings = examine(tmp_path)
    assert list(findings) == MACHINE
    assert findings["store"].state == findings["home"].state == findings["database"].state == "ok"
    assert findings["DIV2KRK"] == ok("DIV2KRK", f"{tmp_path / 'set'}, 2 images at x2")
    assert findings["weights"].state == findings["server"].state == "note"
    assert all(findings[name].state == "ok" for name in ("Python", *doctor.PINNED))


def test_what_is_wrong_comes_with_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "use_configured_api", lambda: "http://127.0.0.1:1/api")
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
    assert [finding.state for finding in on_server.values()] == ["ok"] * 8
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
        ({"data": "/nowhere/set"}, "data of div2krk-x2-nightly", "/nowhere/set", "MKGAN_DIV2KRK"),
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
    assert examine(tmp_path)["mkgan: crash zombie runs"] == note("mkgan: crash zombie runs", "switched off")


def test_a_paused_schedule_may_lack_its_data_set(tmp_path: Path, server: Server) -> None:
    server.data, server.active = "/nowhere/set", False
    finding = examine(tmp_path)["data of div2krk-x2-nightly"]
    assert finding.state == "note"
    assert "/nowhere/set" in finding.found


def test_another_web_server_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server({}, (200, b"<html>")) as url:
        monkeypatch.setattr(doctor, "use_configured_api", lambda: url)
        findings = examine(tmp_path)
    assert findings["server"].state == "wrong"
    assert url in findings["server"].found
    assert findings["server"].remedy
    assert set(MACHINE) - {"database"} <= set(findings)  # whatever was found before is told too


def test_a_garbage_note_is_told(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    (home / STATE).mkdir(parents=True)
    (home / STATE / SERVED).write_text("{garbage")
    findings = examine(tmp_path)
    assert findings[SERVED].state == "note"
    assert str(home / STATE / SERVED) in findings[SERVED].found
    assert findings["server"].state == "note"


def test_a_full_disk_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Store.write

    def cut(self: Store, name: str, data: bytes) -> str:
        return whole(self, name, data[:1000])  # a disk that takes the beginning

    monkeypatch.setattr(Store, "write", cut)
    finding = examine(tmp_path)["store"]
    assert finding.state == "wrong"
    assert "MKGAN_STORE" in finding.remedy


@pytest.mark.parametrize("place", ["file", "/proc/nowhere"])
def test_a_home_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MKGAN_HOME", str(tmp_path / place))
    finding = examine(tmp_path)["home"]
    assert finding.state == "wrong"
    assert "MKGAN_HOME" in finding.remedy + finding.found


def test_little_room_and_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LITTLE_DISK", 1e18)
    monkeypatch.setattr(doctor, "NO_MEMORY", 1e18)
    findings = examine(tmp_path)
    assert {findings[name].state for name in DISKS} == {"note"}
    assert findings["memory"].state == "wrong"


@pytest.mark.parametrize("threads", ["100000", "many"])
def test_a_wish_for_threads_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, threads: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    finding = examine(tmp_path)["cores"]
    assert finding.state == "note"
    assert f"OMP_NUM_THREADS={threads}" in finding.found


def test_a_damaged_database(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "use_configured_api", lambda: None)
    (home / STATE).mkdir(parents=True)
    (home / STATE / "prefect.db").write_bytes(b"no database" * 999)
    finding = examine(tmp_path)["database"]
    assert finding.state == "note"
    assert "prefect.db" in finding.found


def test_a_check_that_breaks_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> Any:
        raise RuntimeError("out of order")

    for name in ("_device", "_memory", "_store", "use_configured_api"):
        monkeypatch.setattr(doctor, name, broken)
    findings = examine(tmp_path)
    for name in ("device", "memory", "store", "server"):
        assert findings[name].state == "wrong"
        assert "out of order" in findings[name].found
    assert findings["weights"].state == "note"
