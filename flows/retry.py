"""`mkgan retry`: rerun only what failed in an earlier run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import ValidationError

from flows.config import BenchmarkConfig
from mkgan_core.errors import ConfigError, StorageError
from mkgan_core.reports.runs import RUN_FILE, RunFolder

if TYPE_CHECKING:
    from prefect.client.schemas.objects import FlowRun


@dataclass(frozen=True)
class Earlier:
    """The configuration of an earlier run, and its flow run."""

    flow_run_id: UUID
    config: BenchmarkConfig


def find(run: str, store_uri: str) -> Earlier:
    """The run with a run id, or with the URI of its report.

    Raises:
        ConfigError: if there is none, or its `run.json` is damaged.
    """
    folder = RunFolder.of(run, store_uri)
    try:
        facts = json.loads(folder.store.read(RUN_FILE))
        return Earlier(UUID(facts["flow_run_id"]), BenchmarkConfig(**facts["config"]))
    except StorageError as fault:
        raise ConfigError(
            f"no run '{run}' to retry in {store_uri}; name another run or --store (runs there: {folder.recent})"
        ) from fault
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError) as fault:
        raise ConfigError(f"{folder.store.uri_of(RUN_FILE)} is damaged: {fault}; start the run again") from fault


def read_flow_run(earlier: Earlier) -> FlowRun:
    """The run's flow run on the server.

    Raises:
        ConfigError: if the server does not know it.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.settings import get_current_settings

    api_url = get_current_settings().api.url
    try:
        with get_client(sync_client=True) as client:
            return client.read_flow_run(earlier.flow_run_id)
    except ObjectNotFound as fault:
        raise ConfigError(
            f"the Prefect server at {api_url} does not know flow run {earlier.flow_run_id}; set PREFECT_API_URL to the "
            "server that ran it, or start the same benchmark again: finished steps come from the cache"
        ) from fault


def put_back(earlier: Earlier, *, here: bool) -> FlowRun:
    """Set the flow run back to scheduled, as the UI's Retry button does.

    Args:
        earlier: the run.
        here: whether this process will run it and owns the server; then a run that has not ended died with its process.

    Raises:
        ConfigError: if the server does not know the run, or it has not ended.
    """
    from prefect.client.orchestration import get_client
    from prefect.states import AwaitingRetry, Pending

    from deployments import own_runs
    from deployments.server import own_state

    flow_run = read_flow_run(earlier)
    state = flow_run.state
    going_on = (folder := own_state()) and own_runs.is_carried_out(folder, flow_run.id)
    if going_on or (not here and not (state and state.is_final())):
        raise ConfigError(
            f"run '{flow_run.name}' has not ended (state {state.name if state else 'new'}); "
            "wait for its end or cancel it, then retry"
        )
    with get_client(sync_client=True) as client:
        client.set_flow_run_state(flow_run.id, AwaitingRetry(message="mkgan retry"), force=True)
        if here:
            client.set_flow_run_state(flow_run.id, Pending())  # as a worker does first: occupies the deployment's slot
        return client.read_flow_run(flow_run.id)
