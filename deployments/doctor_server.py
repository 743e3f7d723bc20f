"""Checks of `mkgan doctor` on a Prefect server: everything that `mkgan deploy` creates, a worker, data sets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from deployments import schedules
from deployments.findings import Finding, made_by, note, ok, wrong
from mkgan_core.errors import MkganError

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_DEPLOY = "mkgan deploy"


def examine_server() -> Iterator[Finding]:
    """Check the configured server; it must be reachable."""
    from prefect.client.orchestration import get_client

    checks = {
        "server's version": _version,
        "work pool": _pool,
        "GPU slots": _slots,
        "deployments": _deployments,
        "data sets": _data_sets,
        "automations": _automations,
    }
    with get_client(sync_client=True) as client:
        for name, check in checks.items():
            yield from made_by(name, partial(check, client))
    if not os.environ.get("MKGAN_PUBLIC_URL"):
        without = "not set: the UI shows a small contact sheet, and the report's address without a link"
        yield note("MKGAN_PUBLIC_URL", without, "set it to the store's address for browsers")


def _version(client: SyncPrefectClient) -> Finding:
    from prefect import __version__ as ours

    theirs = str(client.request("GET", "/admin/version").json())
    if theirs.split(".")[:2] != ours.split(".")[:2]:
        return wrong("server's version", theirs, f"install Prefect {theirs} here, or {ours} there")
    return ok("server's version", theirs)


def _pool(client: SyncPrefectClient) -> Iterator[Finding]:
    """The work pool, and the workers that reported to it recently."""
    from prefect.exceptions import ObjectNotFound

    from deployments.set_up import POOL, QUEUES

    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        yield wrong("work pool", f"no {POOL}", _DEPLOY)
        return
    missing = sorted(set(QUEUES) - {queue.name for queue in client.read_work_queues(work_pool_name=POOL)})
    found = f"{POOL} ({pool.type}{', paused' if pool.is_paused else ''})"
    found += f", no queue {', '.join(missing)}" if missing else ""
    if pool.is_paused:
        yield wrong("work pool", found, "resume it in the UI")
    elif missing:
        yield wrong("work pool", found, _DEPLOY)
    else:
        yield ok("work pool", found)
    online = sum(worker.status == "ONLINE" for worker in client.read_workers_for_work_pool(POOL))
    start = f"prefect worker start --pool {POOL}"
    yield ok("workers", f"{online} online") if online else wrong("workers", "0 online", start)


def _slots(client: SyncPrefectClient) -> Finding:
    from prefect.exceptions import ObjectNotFound

    from deployments.set_up import TAG

    try:
        slots = client.read_concurrency_limit_by_tag(TAG).concurrency_limit
    except ObjectNotFound:
        return wrong("GPU slots", "no limit: all runs train at the same time", _DEPLOY)
    none = f"{_DEPLOY} --gpu-slots N: with 0 slots, every training is aborted"
    return ok("GPU slots", str(slots)) if slots else wrong("GPU slots", "0", none)


def _deployments(client: SyncPrefectClient) -> Finding:
    from deployments.set_up import deployment_names

    names = deployment_names()
    existing = {entry.name for entry in client.read_deployments()}
    missing = ", ".join(name for name in names if name not in existing)
    return wrong("deployments", f"missing: {missing}", _DEPLOY) if missing else ok("deployments", ", ".join(names))


def _data_sets(client: SyncPrefectClient) -> Iterator[Finding]:
    """The schedules' data sets, as seen from this machine."""
    for deployment in schedules.scheduled(client):
        check = f"data of {deployment.name}"
        active = any(schedule.active for schedule in deployment.schedules)
        try:
            count = schedules.count_images(deployment)
        except MkganError as fault:
            where = "copy the data set there, or set MKGAN_DIV2KRK; then restart mkgan serve"
            if active:
                yield wrong(check, str(fault), where)
            else:
                yield note(check, f"the schedule is paused: {fault}", where)
        else:
            found = "built in" if count is None else f"{count} images"
            yield ok(check, found) if active else note(check, f"{found}; the schedule is paused", "resume it in the UI")


def _automations(client: SyncPrefectClient) -> Iterator[Finding]:
    from deployments.automations import FAILED, ZOMBIES

    for name in (FAILED, ZOMBIES):
        existing = client.read_automations_by_name(name)
        if not existing:
            yield wrong(name, "missing", _DEPLOY)
        elif not existing[0].enabled:
            yield note(name, "switched off")
        else:
            yield ok(name, existing[0].description)
