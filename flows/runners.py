"""How tasks run beside each other: threads, processes, or a Dask cluster."""

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
QUICK = 8  # threads that trainings, and steps that wait for a GPU slot, leave to others
UNBOUNDED = 100_000


def check(config: BenchmarkConfig | UpscaleConfig) -> None:
    """Refuse a runner that cannot run here, before anything starts.

    Raises:
        ConfigError: if its package is missing, its scheduler does not answer, its processes cannot share the store, or
            the device is not here.
    """
    if not config.dask_address:  # else the workers have it
        check_device(config.device, "--device")
    if config.runner != "threads" and config.store.startswith("memory:"):
        raise ConfigError(
            f"--store {config.store}: each process of --runner {config.runner} has a memory of its own; "
            "choose a folder or URL that all of them reach"
        )
    if config.runner == "dask":
        try:
            from flows import dask_runner
        except ImportError as fault:
            raise ConfigError(f"--runner dask needs the extra 'dask' (package prefect-dask): {fault}") from fault
        if config.dask_address:
            dask_runner.check_scheduler(config.dask_address)


@contextmanager
def running(config: BenchmarkConfig | UpscaleConfig) -> Iterator[None]:
    """Have the tasks that are submitted inside run as the configuration says; call it in a flow.

    The flow's decorator cannot know: the configuration of a deployment's run arrives with the run.
    """
    flow = FlowRunContext.get()
    if flow is None:
        raise RuntimeError("tasks are submitted in a flow run")
    with make(config) as runner, flow.model_copy(update={"task_runner": runner}):
        try:
            yield
        except BaseException as fault:
            if not isinstance(fault, Exception):  # stopped, cancelled: what still runs ends now, not when it is done
                end_work()
            raise


def _ignore_interrupts() -> None:
    """Ctrl-C in a terminal reaches all of its processes; the first of them ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _Threads(ThreadPoolTaskRunner[Any]):
    """Does not wait for steps that are to end: some, such as a detector's, take a while to notice."""

    def __exit__(self, exc_type: Any, exc_value: Any, traceback: Any) -> None:
        if exc_type and not issubclass(exc_type, Exception) and self._executor:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None
        super().__exit__(exc_type, exc_value, traceback)


class _Processes(ProcessPoolTaskRunner):
    """Takes the states of earlier steps for their futures, as the other runners do."""

    def submit(
        self, task: Task[..., Any], parameters: dict[str, Any], wait_for: Any = None, dependencies: Any = None
    ) -> PrefectConcurrentFuture[Any]:
        ended = [_ended(state) for state in wait_for or ()]
        return super().submit(task, parameters, ended or None, dependencies)


def _ended(state: State[Any]) -> PrefectConcurrentFuture[Any]:
    """The future of a task that ended in this state."""
    result: Future[Any] = Future()
    result.set_result(state)
    future = PrefectConcurrentFuture(state.state_details.task_run_id or UUID(int=0), result)
    future.wait()
    return future


def end_work() -> None:
    """End the steps that run, in this process and in the processes that it started."""
    progress.stop()
    for child in multiprocessing.active_children():
        child.terminate()


def make(config: BenchmarkConfig | UpscaleConfig) -> TaskRunner[Any]:
    """More threads than cores: cached steps do not wait for trainings, and trainings find company for a batch.

    What computes is bounded by `environment.computing`. Processes, which cannot share a batch, are one per core.
    """
    if config.runner == "dask":
        from flows import dask_runner

        return dask_runner.make(config.dask_address)
    if config.runner == "processes":
        return _Processes(max_workers=cores(), initializer=_ignore_interrupts)
    return _Threads(max_workers=places(config) + QUICK)


def places(config: BenchmarkConfig | UpscaleConfig) -> int:
    """How many steps that train, or wait for a GPU slot, the runner is given at once.

    A runner takes tasks in the order in which they came: steps that are cached or quick must find somebody free.
    """
    if config.runner == "dask":
        return UNBOUNDED  # the scheduler knows the workers, and which of them have a GPU
    if config.runner == "processes":
        return cores()
    on_gpus = 0 if config.device == "cpu" else gpus.slots()
    return max(THREADS - QUICK, cores(), on_gpus)
