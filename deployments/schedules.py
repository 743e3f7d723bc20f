"""Schedules whose data set is not there: paused, and resumed when it is there again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkgan_core.datasets.layout import Dataset
from mkgan_core.datasets.sample import NAMES
from mkgan_core.errors import MkganError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

PAUSED = "paused.json"  # in the state's folder: ids of the schedules that were paused here


def pause_idle(state: Path) -> list[str]:
    """Pause the schedules whose data set cannot be read here, resume those paused here before whose data set can.

    A schedule that a person switched off stays off.

    Returns:
        A line for each schedule without a data set, and for each that is resumed.
    """
    from prefect.client.orchestration import get_client

    paused, lines = _read(state / PAUSED), []
    still = set()
    with get_client(sync_client=True) as client:
        for deployment in scheduled(client):
            lacking = fault_of(deployment)
            for schedule in deployment.schedules:
                known, name = str(schedule.id), f"schedule {deployment.name}"
                if lacking and (schedule.active or known in paused):
                    still.add(known)
                    lines.append(f"{name} is paused until mkgan serve finds its data set: {lacking}")
                    client.update_deployment_schedule(deployment.id, schedule.id, active=False)
                elif not lacking and known in paused:
                    lines.append(f"{name} is resumed: its data set is there again")
                    client.update_deployment_schedule(deployment.id, schedule.id, active=True)
    (state / PAUSED).write_text(json.dumps(sorted(still)))
    return lines


def scheduled(client: SyncPrefectClient) -> Iterator[DeploymentResponse]:
    """The deployments with a schedule."""
    yield from (deployment for deployment in client.read_deployments() if deployment.schedules)


def fault_of(deployment: DeploymentResponse) -> str | None:
    """Why a benchmark deployment's data set cannot be used on this machine; None if it can, or the flow has none."""
    try:
        count_images(deployment)
    except MkganError as fault:
        return str(fault)
    return None


def count_images(deployment: DeploymentResponse) -> int | None:
    """How many images a deployment's data set has at its scale; None where it is built in or there is none.

    Raises:
        MkganError: if the data set cannot be read, or has none at that scale.
    """
    config: Any = deployment.parameters.get("config")
    uri = config.get("dataset") if isinstance(config, dict) else None
    if not isinstance(uri, str) or uri in NAMES:
        return None
    return len(Dataset(uri).ids(config.get("scale", 2)))


def _read(file: Path) -> set[str]:
    try:
        return set(map(str, json.loads(file.read_text())))
    except (OSError, ValueError, TypeError):
        return set()
