"""`mkgan doctor`: is this machine, and the Prefect server that it talks to, ready to run benchmarks?"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

from packaging.requirements import Requirement

from flows.config import default_store, home
from flows.server import answers, use_configured_api
from mkgan_core import datasets, environment, weights
from mkgan_core.errors import MkganError
from mkgan_core.storage import Store

PINNED = ("prefect", "fastapi", "sqlalchemy", "torch", "pydantic")  # of the wrong version, they break in odd ways
OPTIONAL = {
    "chromium": ("drives the UI in tests", "install Debian's package chromium"),
    "postgres": ("database for several machines", "install Debian's package postgresql"),
}


@dataclass(frozen=True)
class Finding:
    """What one check found; a note is no fault.

    Attributes:
        remedy: what to do about it, empty where nothing is to be done.
    """

    check: str
    state: Literal["ok", "note", "wrong"]
    found: str
    remedy: str = ""


def examine(store: str | None, div2krk: str | None) -> Iterator[Finding]:
    """Check the machine, then the server."""
    yield from _versions()
    yield _device()
    yield _store(store or default_store())
    yield _data_set(div2krk or str(home() / "div2krk"))
    yield _weights()
    for name, (use, remedy) in OPTIONAL.items():
        path = shutil.which(name) or next((str(p) for p in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), None)
        yield Finding(name, "ok" if path else "note", path or f"not there ({use})", "" if path else remedy)
    api_url = use_configured_api()
    if api_url is None:
        found = "none configured: mkgan benchmark brings its own, but schedules and the Retry button need one"
        yield Finding("server", "note", found, "mkgan serve, or set PREFECT_API_URL")
    elif not answers(api_url):
        yield Finding("server", "wrong", f"{api_url} does not answer", "start it, or set PREFECT_API_URL to another")
    else:
        yield Finding("server", "ok", api_url)
        yield from _server_set_up()


def _versions() -> Iterator[Finding]:
    right = sys.version_info >= (3, 11)
    found = ".".join(map(str, sys.version_info[:3]))
    yield Finding("Python", "ok" if right else "wrong", found, "" if right else "make PYTHON=/path/to/python3.11 setup")
    wanted = {r.name: r for r in map(Requirement, requires("mkgan") or []) if r.name in PINNED and not r.marker}
    for name in PINNED:
        try:
            found = version(name)
        except PackageNotFoundError:
            yield Finding(name, "wrong", "not installed", "make setup")
            continue
        allowed = wanted[name].specifier
        right = allowed.contains(found)
        yield Finding(name, "ok" if right else "wrong", found if right else f"{found}, needs {allowed}", _mend(right))


def _mend(right: bool) -> str:
    return "" if right else "make setup"


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count()))
        return Finding("device", "ok", names)
    found = f"no GPU that torch {torch.__version__} can use; {environment.cores()} cores"
    return Finding("device", "note", found, "trainings run on the CPU: use preset fast")


def _store(uri: str) -> Finding:
    try:
        store = Store(uri)
        store.check_writable()
    except MkganError as fault:
        return Finding("store", "wrong", str(fault), "set MKGAN_STORE to a place that can be written")
    return Finding("store", "ok", store.uri)


def _data_set(uri: str) -> Finding:
    try:
        count = len(datasets.Dataset(uri).ids(2))
    except MkganError as fault:
        return Finding("DIV2KRK", "note", str(fault), "put it there, or set MKGAN_DIV2KRK: the scheduled runs need it")
    return Finding("DIV2KRK", "ok", f"{uri}, {count} images at x2")


def _weights() -> Finding:
    try:
        found = weights.everything_at_hand()
    except MkganError as fault:
        return Finding("weights", "wrong", str(fault), "see mkgan weights list")
    names = ", ".join(sorted({path.name for path in found}))
    return Finding("weights", "ok" if found else "note", names or "none", "" if found else "see mkgan weights list")


def _server_set_up() -> Iterator[Finding]:
    """Everything that `mkgan deploy` makes, and a worker."""
    from prefect import __version__ as ours
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound

    from flows import automations, deployment

    deploy = "mkgan deploy"
    with get_client(sync_client=True) as client:
        theirs = str(client.request("GET", "/admin/version").json())
        same = theirs.split(".")[:2] == ours.split(".")[:2]
        mend = "" if same else f"install Prefect {theirs} here, or {ours} there"
        yield Finding("server's version", "ok" if same else "wrong", theirs, mend)
        try:
            pool = client.read_work_pool(deployment.POOL)
            queues = {queue.name for queue in client.read_work_queues(work_pool_name=deployment.POOL)}
            missing = sorted(set(deployment.QUEUES) - queues)
            found = f"{pool.name} ({pool.type}{', paused' if pool.is_paused else ''})"
            found += f", no queue {', '.join(missing)}" if missing else ""
            wrong = bool(missing or pool.is_paused)
            remedy = "resume it in the UI" if pool.is_paused else deploy
            yield Finding("work pool", "wrong" if wrong else "ok", found, remedy if wrong else "")
            online = sum(worker.status == "ONLINE" for worker in client.read_workers_for_work_pool(pool.name))
            start = f"prefect worker start --pool {pool.name}"
            yield Finding("workers", "ok" if online else "wrong", f"{online} online", "" if online else start)
        except ObjectNotFound:
            yield Finding("work pool", "wrong", f"no {deployment.POOL}", deploy)
        try:
            slots = client.read_concurrency_limit_by_tag(deployment.TAG).concurrency_limit
            mend = "" if slots else f"{deploy} --gpu-slots N: with none, every training is aborted"
            yield Finding("GPU slots", "ok" if slots else "wrong", str(slots), mend)
        except ObjectNotFound:
            yield Finding("GPU slots", "wrong", "no limit: trainings of all runs start at once", deploy)
        there = {entry.name: entry for entry in client.read_deployments()}
        missing = [name for name in deployment.deployment_names() if name not in there]
        found = f"not there: {', '.join(missing)}" if missing else ", ".join(deployment.deployment_names())
        yield Finding("deployments", "wrong" if missing else "ok", found, deploy if missing else "")
        for name in (automations.FAILED, automations.ZOMBIES):
            known = client.read_automations_by_name(name)
            on = bool(known and known[0].enabled)
            found = (known[0].description if on else "switched off") if known else "not there"
            yield Finding(name, "ok" if on else "note" if known else "wrong", found, "" if known else deploy)
    if not os.environ.get("MKGAN_PUBLIC_URL"):
        found = "the UI shows a small contact sheet, and the report's address without a link"
        yield Finding("MKGAN_PUBLIC_URL", "note", f"not set: {found}", "set it to where a browser finds the store")
