"""Runs tasks on a Dask cluster; imported only if Dask is chosen."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cached_property
from typing import Any

from dask.base import annotate
from distributed import Client
from distributed.comm.addressing import get_address_host_port
from prefect.tasks import Task
from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

from mkgan_core.errors import ConfigError
from mkgan_core.machine.cores import cores

CONNECT_TIMEOUT_S = 15
GPU = "GPU"  # the resource, as in `dask worker --resources GPU=1`


class GpuDaskRunner(DaskTaskRunner):
    """Sends tasks with the tag ``gpu`` to workers that offer the resource ``GPU``, one task per unit.

    In a cluster without that resource, any worker takes them.
    """

    def submit(self, task: Task[..., Any], *args: Any, **kwargs: Any) -> PrefectDaskFuture[Any]:
        needs_gpu = "gpu" in task.tags and self._has_gpus
        with annotate(resources={GPU: 1}) if needs_gpu else nullcontext():
            return super().submit(task, *args, **kwargs)

    @cached_property
    def _has_gpus(self) -> bool:
        return any(GPU in worker["resources"] for worker in self.client.scheduler_info()["workers"].values())


def make(address: str | None) -> DaskTaskRunner:
    """A runner on the cluster with this scheduler; without an address, on a local cluster that lasts one run."""
    if address:
        return GpuDaskRunner(address=address, client_kwargs={"timeout": CONNECT_TIMEOUT_S})
    local = {
        "n_workers": cores(),
        "threads_per_worker": 1,
        "memory_limit": 0,  # no limit: with equal shares, Dask would kill a large training while other workers are idle
        "dashboard_address": None,
    }
    return GpuDaskRunner(cluster_kwargs=local)


def check_scheduler(address: str) -> None:
    """Check that a Dask scheduler answers.

    Raises:
        ConfigError: if none does.
    """
    try:
        get_address_host_port(address)
        Client(address, timeout=CONNECT_TIMEOUT_S, set_as_default=False).close()
    except (OSError, ValueError) as fault:
        raise ConfigError(
            f"--dask-address {address}: no Dask scheduler answers ({fault}); start one with `dask scheduler`, "
            "or leave out --dask-address to use a cluster on this machine"
        ) from fault
