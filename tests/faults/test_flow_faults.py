"""The same through the flow, on a real Prefect server."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest
from prefect.settings import get_current_settings

from flows.benchmark import benchmark
from flows.config import BenchmarkConfig
from flows.names import run_id
from flows.progress import Standing, on_progress
from mkgan_core.errors import MkganError
from mkgan_core.machine.storage import Store
from mkgan_core.reports import runs
from tasks import caching
from tasks.steps import TASKS
from tests.faults import walks
from tests.faults.faulty_fs import Fault, faulty

pytestmark = pytest.mark.usefixtures("prefect_server")


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits before trying again."""
    monkeypatch.setattr(caching, "RETRY_DELAY_S", 0)
    for task in TASKS.values():
        monkeypatch.setattr(task, "retry_delay_seconds", 0)


def run(data: Path, store: str) -> tuple[str, str, Counter[str]]:
    """The state that a run ended in, its id, and how many of its steps were computed and were there."""
    config = BenchmarkConfig(dataset=str(data), methods=list(walks.METHODS), store=store)
    seen: list[Standing] = []
    token = on_progress.set(seen.append)
    try:
        state = benchmark(config, return_state=True)
    finally:
        on_progress.reset(token)
    if "report: " not in (state.message or ""):
        with pytest.raises(MkganError):  # nothing else ends a run
            state.result()
        return state.name or "", "", Counter()
    steps = Counter(computed=seen[-1].steps - seen[-1].cached, there=seen[-1].cached)
    return state.name or "", run_id(config, str(state.state_details.flow_run_id)), steps


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.3])
def test_calls_fail_at_random(data: Path, undisturbed: walks.Finished, tmp_path: Path, rate: float) -> None:
    store = tmp_path / "store"
    faults = [Fault(kind, rate=rate / 3) for kind in ("error", "timeout", "odd")]
    with faulty(*faults, seed=1) as plan:
        state, _, _ = run(data, f"faulty://{store}")
    assert sum(plan.fired.values())
    if rate == 0.02:  # what a try or two mend
        assert state == "Completed"
    assert not walks.parts(store) or rate > 0.02  # what cannot be removed either stays for `mkgan store prune`
    state, name, _ = run(data, str(store))
    assert state == "Completed"
    assert walks.finished(store, name) == undisturbed


def test_what_was_written_is_damaged(data: Path, undisturbed: walks.Finished, tmp_path: Path) -> None:
    store = tmp_path / "store"
    with faulty(Fault("flip", at=2, name="/artifacts/"), Fault("cut", at=9, name="/artifacts/")) as plan:
        run(data, f"faulty://{store}")
    assert plan.fired.keys() >= {"flip", "cut"}
    state, name, _ = run(data, str(store))
    assert state == "Completed"
    assert walks.finished(store, name) == undisturbed


def test_a_store_is_moved(data: Path, undisturbed: walks.Finished, tmp_path: Path) -> None:
    """Nothing is computed again, and nothing in the new report names the old place."""
    _, _, first = run(data, str(tmp_path / "store"))
    moved = (tmp_path / "store").rename(tmp_path / "elsewhere")
    state, name, steps = run(data, str(moved))
    assert (state, steps) == ("Completed", Counter(there=first["computed"], computed=0))
    assert walks.finished(moved, name) == undisturbed
    made = runs.open_run(name, Store(str(moved)).uri)
    for uri in [*made.rows["output_uri"], *made.regions["output_uri"], *made.regions["kernel_uri"].dropna()]:
        assert str(moved) in uri
        assert Store(str(moved)).exists(uri)

    shutil.rmtree(moved / "artifacts" / "compose")  # a step that needs what others made before the move
    state, name, steps = run(data, str(moved))
    assert (state, steps["computed"]) == ("Completed", len(walks.METHODS))
    assert walks.finished(moved, name) == undisturbed


def test_two_stores_in_one_home(data: Path, undisturbed: walks.Finished, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    _, _, made = run(data, str(first))
    assert run(data, str(second))[2] == made
    _, name, steps = run(data, str(first))
    assert steps["computed"] == 0
    assert all(str(first) in uri for uri in runs.open_run(name, Store(str(first)).uri).rows["output_uri"])
    shutil.rmtree(second)
    shutil.rmtree(first / "artifacts" / "compose")
    state, name, _ = run(data, str(first))
    assert state == "Completed"
    assert walks.finished(first, name) == undisturbed


def test_what_is_only_shown_is_damaged(data: Path, undisturbed: walks.Finished, tmp_path: Path) -> None:
    """Pictures of the contact sheet, the images' descriptions, and Prefect's own results."""
    store = tmp_path / "store"
    run(data, str(store))
    results = get_current_settings().results.local_storage_path
    for path in [*store.glob("artifacts/compose/*/*.png"), *store.glob("artifacts/describe/*/*"), *results.iterdir()]:
        if path.is_file():
            path.write_bytes(path.read_bytes()[:60])
    state, name, steps = run(data, str(store))
    assert (state, steps["computed"]) == ("Completed", len(walks.METHODS))
    assert walks.finished(store, name) == undisturbed

    with faulty(Fault("error", at=1, ever=True, name="contact-sheet")) as plan:
        state, _, _ = run(data, f"faulty://{store}")
    assert state == "Completed"
    assert plan.fired["error"]


def test_half_of_what_is_made_is_gone(data: Path, undisturbed: walks.Finished, tmp_path: Path) -> None:
    """Also while it is mended: the store fails again."""
    store = tmp_path / "store"
    run(data, str(store))
    for path in sorted(store.glob("artifacts/*/*/*"))[::2]:
        path.unlink()
    with faulty(Fault("error", rate=0.05), seed=2) as plan:
        run(data, f"faulty://{store}")
    assert plan.fired["error"]
    state, name, _ = run(data, str(store))
    assert state == "Completed"
    assert walks.finished(store, name) == undisturbed
