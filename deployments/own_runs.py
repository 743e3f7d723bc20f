"""The flow runs that commands with this home folder execute, each marked by a lock that ends with its process.

Nothing else reports a run whose process died; the server would show it as running forever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from filelock import FileLock, Timeout

FOLDER = "commands"  # in the state folder: one file per run, named by its id
DIED = "The command that executed this run has died. Finished steps are kept: retry the run."


@contextmanager
def noted(state: Path, flow_run_id: UUID) -> Iterator[None]:
    """During the block, other processes see that this one executes the run."""
    try:
        lock = _lock(state, flow_run_id)
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):  # run without the mark if locks do not work
        yield
        return
    yield
    Path(lock.lock_file).unlink(missing_ok=True)  # not if the block raises: the server may not know yet
    lock.release()


def is_carried_out(state: Path, flow_run_id: UUID) -> bool:
    """Whether a process with this home folder executes the run."""
    return (state / FOLDER / str(flow_run_id)).exists() and not _is_free(_lock(state, flow_run_id))


def mark_crashed(state: Path) -> list[str]:
    """Mark runs whose process died as crashed, so that they can be retried; return their names."""
    import httpx
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    died = list(_died(state))
    names = []
    with suppress(httpx.HTTPError), get_client(sync_client=True) as client:  # the next command does the rest
        for flow_run_id in died:
            try:
                run = client.read_flow_run(flow_run_id)
            except ObjectNotFound:  # deleted, or of another database
                run = None
            if run and run.state and not run.state.is_final():
                client.set_flow_run_state(flow_run_id, Crashed(message=DIED), force=True)
                names.append(run.name)
            (state / FOLDER / str(flow_run_id)).unlink(missing_ok=True)
    return names


def _died(state: Path) -> Iterator[UUID]:
    for file in sorted((state / FOLDER).glob("*-*")):
        try:
            flow_run_id = UUID(file.name)
        except ValueError:  # not our file
            continue
        if _is_free(_lock(state, flow_run_id)):
            yield flow_run_id


def _is_free(lock: FileLock) -> bool:
    try:
        with lock.acquire(timeout=0):
            return True
    except (Timeout, OSError, NotImplementedError):
        return False


def _lock(state: Path, flow_run_id: UUID) -> FileLock:
    folder = state / FOLDER
    folder.mkdir(parents=True, exist_ok=True)  # a new home folder, while a server is configured
    return FileLock(folder / str(flow_run_id))
