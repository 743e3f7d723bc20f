"""The project's only task decorator: results are stored and keyed by content; retries happen only if they can help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prefect import Task, task
from prefect.cache_policies import CacheKeyFnPolicy
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.runtime import task_run

from mkgan_core.errors import MkganError, StorageError, out_of_memory
from mkgan_core.machine.storage import content_key
from mkgan_core.pipeline.jobs import Job

RETRIES = 2
RETRY_DELAY_S = 3


def artifact_task(name: str, *, gpu: bool = False) -> Callable[[Callable[..., Any]], Task[..., Any]]:
    """A task whose only parameter is a `mkgan_core.pipeline.jobs.Job`.

    Its cache key combines the store's URI with the job's key, which covers everything the result depends on, but not
    the run. So a finished step is `Cached` in every later run with the same store. The task run's name is the job's
    label.
    """
    return task(
        name=name,
        tags=["gpu"] if gpu else [],
        task_run_name=_label,
        persist_result=True,
        result_serializer="json",
        cache_policy=CacheKeyFnPolicy(cache_key_fn=_cache_key),
        retries=RETRIES,
        retry_delay_seconds=RETRY_DELAY_S,
        retry_condition_fn=_may_help,
    )


def _cache_key(_context: TaskRunContext, parameters: dict[str, Any]) -> str:
    job: Job[Any] = parameters["job"]
    return content_key({"job": job.key, "store": job.store})


def _label() -> str:
    return task_run.parameters["job"].label


def _may_help(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a retry can help: yes for errors of storage, memory and half-finished imports, no for bad input."""
    try:
        state.result()
    except (StorageError, OSError, ImportError):
        return True
    except MkganError:
        return False
    except Exception as fault:
        return out_of_memory(fault)
    return False
