"""`mkgan doctor`: is this machine, and the Prefect server that it talks to, ready to run benchmarks?"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from packaging.requirements import Requirement

from deployments.server import answers, use_configured_api
from mkgan_core.datasets.layout import Dataset
from mkgan_core.errors import MkganError
from mkgan_core.machine import weights
from mkgan_core.machine.cores import cores
from mkgan_core.machine.places import INSTALL
from mkgan_core.machine.storage import Store

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

PINNED = ("prefect", "fastapi", "sqlalchemy", "torch", "pydantic")  # the wrong version fails in ways hard to explain
OPTIONAL = {
    "chromium": ("drives the UI in tests", "install Debian's package chromium"),
    "postgres": ("database for several machines", "install Debian's package postgresql"),
}
_DEPLOY = "mkgan deploy"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: what was looked at.
        state: ``note`` is no fault.
        found: what it is like.
        remedy: what to do about it; empty if nothing has to be done.
    """

    check: str
    state: Literal["ok", "note", "wrong"]
    found: str
    remedy: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", found)


def note(check: str, found: str, remedy: str = "") -> Finding:
    """Something that a person may want to change."""
    return Finding(check, "note", found, remedy)


def wrong(check: str, found: str, remedy: str) -> Finding:
    """Something that a person must change."""
    return Finding(check, "wrong", found, remedy)


def examine(store: str, div2krk: str) -> Iterator[Finding]:
    """Check the machine, then the server.

    Args:
        store: URI of the artifact store.
        div2krk: folder or URL of the scheduled runs' data set.
    """
    yield _python()
    yield from map(_package, PINNED)
    yield _device()
    yield _store(store)
    yield _data_set(div2krk)
    yield _weights()
    yield from map(_program, OPTIONAL)
    api_url = use_configured_api()
    if api_url is None:
        without = "none configured: mkgan benchmark starts its own, but schedules and the Retry button need one"
        yield note("server", without, "mkgan serve, or set PREFECT_API_URL")
    elif not answers(api_url):
        yield wrong("server", f"{api_url} does not answer", "start it, or set PREFECT_API_URL to another")
    else:
        yield ok("server", api_url)
        yield from _server_set_up()


def _python() -> Finding:
    running = ".".join(map(str, sys.version_info[:3]))
    right = sys.version_info >= (3, 11)
    return ok("Python", running) if right else wrong("Python", running, "make PYTHON=/path/to/python3.11 setup")


def _package(name: str) -> Finding:
    try:
        installed = version(name)
    except PackageNotFoundError:
        return wrong(name, "not installed", INSTALL)
    declared = [r for r in map(Requirement, requires("mkgan") or []) if r.name == name]
    needed = next(r.specifier for r in declared if not r.marker or r.marker.evaluate({"extra": "pipeline"}))
    if not needed.contains(installed):
        return wrong(name, f"{installed}, needs {needed}", INSTALL)
    return ok(name, installed)


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        return ok("device", ", ".join(torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())))
    without = f"no GPU that torch {torch.__version__} can use; {cores()} cores"
    return note("device", without, "trainings run on the CPU: use preset fast")


def _store(uri: str) -> Finding:
    try:
        store = Store(uri)
        store.check_writable()
    except MkganError as fault:
        return wrong("store", str(fault), "set MKGAN_STORE to a place that can be written")
    return ok("store", store.uri)


def _data_set(uri: str) -> Finding:
    try:
        count = len(Dataset(uri).ids(2))
    except MkganError as fault:
        return note("DIV2KRK", str(fault), "put it there, or set MKGAN_DIV2KRK: the scheduled runs need it")
    return ok("DIV2KRK", f"{uri}, {count} images at x2")


def _weights() -> Finding:
    try:
        names = sorted({path.name for path in weights.all_available()})
    except MkganError as fault:
        return wrong("weights", str(fault), "see mkgan weights list")
    return ok("weights", ", ".join(names)) if names else note("weights", "none", "see mkgan weights list")


def _program(name: str) -> Finding:
    use, remedy = OPTIONAL[name]
    debians = map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))  # not on the PATH
    path = shutil.which(name) or next(debians, None)
    return ok(name, path) if path else note(name, f"not installed ({use})", remedy)


def _server_set_up() -> Iterator[Finding]:
    """Everything that `mkgan deploy` creates, and a worker."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        yield _server_version(client)
        yield from _pool(client)
        yield _slots(client)
        yield _deployments(client)
        yield from _automations(client)
    if not os.environ.get("MKGAN_PUBLIC_URL"):
        without = "not set: the UI shows a small contact sheet, and the report's address without a link"
        yield note("MKGAN_PUBLIC_URL", without, "set it to where a browser finds the store")


def _server_version(client: SyncPrefectClient) -> Finding:
    from prefect import __version__ as ours

    theirs = str(client.request("GET", "/admin/version").json())
    if theirs.split(".")[:2] != ours.split(".")[:2]:
        return wrong("server's version", theirs, f"install Prefect {theirs} here, or {ours} there")
    return ok("server's version", theirs)


def _pool(client: SyncPrefectClient) -> Iterator[Finding]:
    """The work pool, and the workers that it has heard of lately."""
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
        return wrong("GPU slots", "no limit: trainings of all runs start at once", _DEPLOY)
    none = f"{_DEPLOY} --gpu-slots N: with none, every training is aborted"
    return ok("GPU slots", str(slots)) if slots else wrong("GPU slots", "0", none)


def _deployments(client: SyncPrefectClient) -> Finding:
    from deployments.set_up import deployment_names

    names = deployment_names()
    existing = {entry.name for entry in client.read_deployments()}
    missing = ", ".join(name for name in names if name not in existing)
    return wrong("deployments", f"missing: {missing}", _DEPLOY) if missing else ok("deployments", ", ".join(names))


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
