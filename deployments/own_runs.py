"""The flow runs that commands of this home carry out, each noted by a lock that ends with its process.

Nobody reports a run whose process died, and the server would show it as running for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from filelock import FileLock, Timeout

FOLDER = "commands"  # in the state's folder: a file for each run, named by its id
DIED = "The command that carried it out has died. Finished steps are kept: retry the run."


@contextmanager
def noted(state: Path, flow_run_id: UUID) -> Iterator[None]:
    """During the block, others see that this process carries the run out."""
    try:
        lock = _lock(state, flow_run_id)
        lock.acquire(timeout=0)
    except (Timeout, OSError, NotImplementedError):  # without locks nobody can tell; that is no reason not to run
        yield
        return
    yield
    Path(lock.lock_file).unlink(missing_ok=True)  # not if the block breaks: the server may not have been told
    lock.release()


def is_carried_out(state: Path, flow_run_id: UUID) -> bool:
    """Whether a process of this home carries the run out."""
    return (state / FOLDER / str(flow_run_id)).exists() and not _is_free(_lock(state, flow_run_id))


def mark_crashed(state: Path) -> list[str]:
    """Mark the runs whose process died as crashed, so that they can be retried; returns their names."""
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
        except ValueError:  # somebody else's
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
    folder.mkdir(parents=True, exist_ok=True)  # a home that is new, while a server is configured
    return FileLock(folder / str(flow_run_id))
