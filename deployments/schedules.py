"""Pauses schedules whose data set is missing, and resumes them when it is available again."""

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

PAUSED = "paused.json"  # in the state folder: ids of the schedules paused by this module


def pause_idle(state: Path) -> list[str]:
    """Pause schedules whose data set cannot be read on this machine; resume those that were paused for that reason.

    A schedule that the user disabled stays disabled.

    Returns:
        A line for each schedule without a data set, and for each resumed one.
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
                    lines.append(f"{name} is resumed: its data set is available again")
                    client.update_deployment_schedule(deployment.id, schedule.id, active=True)
    (state / PAUSED).write_text(json.dumps(sorted(still)))
    return lines


def scheduled(client: SyncPrefectClient) -> Iterator[DeploymentResponse]:
    """The deployments with a schedule."""
    yield from (deployment for deployment in client.read_deployments() if deployment.schedules)


def fault_of(deployment: DeploymentResponse) -> str | None:
    """Why a deployment's data set cannot be used on this machine; None if it can, or if the flow has no data set."""
    try:
        count_images(deployment)
    except MkganError as fault:
        return str(fault)
    return None


def count_images(deployment: DeploymentResponse) -> int | None:
    """Number of images of a deployment's data set at its scale; None if the data set is built in or there is none.

    Raises:
        MkganError: if the data set cannot be read, or has no images at that scale.
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
