"""How tasks run in parallel: threads, processes, or a Dask cluster."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

from prefect import Task
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.futures import PrefectConcurrentFuture
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from mkgan_core.errors import ConfigError
from mkgan_core.machine import gpus, progress
from mkgan_core.machine.cores import cores
from mkgan_core.pipeline.arguments import check_device

if TYPE_CHECKING:
    from flows.config import BenchmarkConfig, UpscaleConfig

THREADS = 32
QUICK = 8  # threads that stay free for quick steps, when others train or wait for a GPU slot
UNBOUNDED = 100_000


def check(config: BenchmarkConfig | UpscaleConfig) -> None:
    """Check before anything starts that the runner and the device can be used.

    Raises:
        ConfigError: if the runner's package is missing, its scheduler does not answer, its processes cannot share the
            store, or this machine lacks the device.
    """
    if not config.dask_address:  # else the device is that of the workers
        check_device(config.device, "--device")
    if config.runner != "threads" and config.store.startswith("memory:"):
        raise ConfigError(
            f"--store {config.store}: the processes of --runner {config.runner} do not share memory; "
            "choose a folder or URL that all of them can reach"
        )
    if config.runner == "dask":
        try:
            from flows import dask_runner
        except ImportError as fault:
            raise ConfigError(
                f"--runner dask needs a package that is not installed ({fault}); pip install 'mkgan[dask]'"
            ) from fault
        if config.dask_address:
            dask_runner.check_scheduler(config.dask_address)


@contextmanager
def running(config: BenchmarkConfig | UpscaleConfig) -> Iterator[None]:
    """Inside a flow, run the tasks submitted during the block with the configured runner.

    The flow's decorator cannot choose the runner, because a deployment's configuration arrives only with the run.
    """
    flow = FlowRunContext.get()
    if flow is None:
        raise RuntimeError("running() was called outside a flow run; call it inside one")
    with make(config) as runner, flow.model_copy(update={"task_runner": runner}):
        try:
            yield
        except BaseException as fault:
            if not isinstance(fault, Exception):  # stopped or cancelled: end running steps now, do not wait for them
                end_work()
            raise


def _ignore_interrupts() -> None:
    """Ctrl-C in a terminal reaches all of its processes; the main process ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Threads(ThreadPoolTaskRunner[Any]):
    """Does not wait for interrupted steps to end: some, such as a detector's, take a while to notice."""

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if exc_type and not issubclass(exc_type, Exception) and self._executor:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
        super().__exit__(exc_type, exc_value, traceback)


class _Processes(ProcessPoolTaskRunner):
    """Accepts states of earlier steps in place of their futures, as the other runners do."""

    def submit(
        self, task: Task[..., Any], parameters: dict[str, Any], wait_for: Any = None, dependencies: Any = None
    ) -> PrefectConcurrentFuture[Any]:
        ended = [_ended(state) for state in wait_for or ()]
        return super().submit(task, parameters, ended or None, dependencies)


def _ended(state: State[Any]) -> PrefectConcurrentFuture[Any]:
    """A future that has ended in this state."""
    result: Future[Any] = Future()
    result.set_result(state)
    future = PrefectConcurrentFuture(state.state_details.task_run_id or UUID(int=0), result)
    future.wait()
    return future


def end_work() -> None:
    """End the running steps of this process and its child processes."""
    progress.stop()
    for child in multiprocessing.active_children():
        child.terminate()


def make(config: BenchmarkConfig | UpscaleConfig) -> TaskRunner[Any]:
    """A runner with more threads than cores, so that cached steps need not wait and trainings can share a batch.

    `machine.cores.computing` limits how many steps compute at a time. Processes cannot share a batch, so there is one
    per core.
    """
    if config.runner == "dask":
        from flows import dask_runner

        return dask_runner.make(config.dask_address)
    if config.runner == "processes":
        return _Processes(max_workers=cores(), initializer=_ignore_interrupts)
    return _Threads(max_workers=places(config) + QUICK)


def places(config: BenchmarkConfig | UpscaleConfig) -> int:
    """The largest number of steps that train or wait for a GPU slot to submit at a time.

    A runner takes tasks in the order of submission, so some of its threads must stay free for cached and quick steps.
    """
    if config.runner == "dask":
        return UNBOUNDED  # the scheduler knows its workers and their GPUs
    if config.runner == "processes":
        return cores()
    on_gpus = 0 if config.device == "cpu" else gpus.slots()
    return max(THREADS - QUICK, cores(), on_gpus)
