from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.faults import walks
from tests.faults.faulty_fs import register

FOLDER = Path(__file__).parent
TRIES = 50


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last: what needs a Prefect server finds that of tests/flows, if those run."""
    items.sort(key=lambda item: FOLDER in item.path.parents and "prefect_server" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """The session's Prefect server, started if there is none yet."""
    from prefect.settings import get_current_settings
    from prefect.testing.utilities import prefect_test_harness

    if get_current_settings().api.url:
        yield
        return
    with prefect_test_harness(server_startup_timeout=240):
        yield


@pytest.fixture(scope="session", autouse=True)
def protocol() -> None:
    register({})


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of one image."""
    return walks.one_image(tmp_path_factory.mktemp("faults") / "tiny")


@pytest.fixture(scope="session")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> walks.Finished:
    """What `walks.METHODS` make of it where nothing goes wrong."""
    store = tmp_path_factory.mktemp("undisturbed") / "store"
    assert walks.attempt(data, str(store)) is None
    return walks.finished(store)


@pytest.fixture(autouse=True)
def nothing_left_open(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test leaves an open file, a child or a thread of its own that would keep the process alive."""
    if "prefect_server" in request.fixturenames:  # it has those
        yield
        return
    before = _held()
    yield
    for _ in range(TRIES):
        if not _held() - before:
            return
        threading.Event().wait(0.1)
    assert not _held() - before


def _held() -> set[object]:
    process = psutil.Process(os.getpid())
    files = {file.path for file in process.open_files() if "site-packages" not in Path(file.path).parts}
    threads = {thread for thread in threading.enumerate() if not thread.daemon}
    return {*files, *threads, *process.children()}
