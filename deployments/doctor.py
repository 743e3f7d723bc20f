"""`mkgan doctor`: checks whether this machine and its Prefect server are ready to run benchmarks."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from deployments import database, prefect_settings
from deployments.doctor_server import examine_server
from deployments.embedded import make_state
from deployments.findings import Finding, made_by, note, ok, wrong
from deployments.server import SERVED, STATE, check_configured, read_note, use_configured_api
from mkgan_core.datasets.layout import Dataset
from mkgan_core.errors import ConfigError, MkganError
from mkgan_core.machine import memory, weights
from mkgan_core.machine.cores import cores
from mkgan_core.machine.places import INSTALL, home
from mkgan_core.machine.storage import Store

PINNED = ("prefect", "fastapi", "sqlalchemy", "torch", "pydantic")  # a wrong version of these fails with obscure errors
OPTIONAL = {
    "chromium": ("for tests of the UI", "install Debian's package chromium"),
    "postgres": ("for a server with several machines", "install Debian's package postgresql"),
}
GB = 1e9
LITTLE_DISK, NO_DISK = 5 * GB, 0.2 * GB
LITTLE_MEMORY, NO_MEMORY = 4 * GB, 1 * GB  # a benchmark of small images takes 1 to 2 GB


def examine(store: str, div2krk: str) -> Iterator[Finding]:
    """Check the machine, then the server. A check that fails becomes a finding, and the others continue.

    Args:
        store: URI of the artifact store.
        div2krk: folder or URL of the scheduled runs' data set.
    """
    yield from made_by("Python", _python)
    for name in PINNED:
        yield from made_by(name, partial(_package, name))
    yield from made_by("device", _device)
    yield from made_by("cores", _cores)
    yield from made_by("memory", _memory)
    yield from made_by("home", _home)
    yield from made_by("store", partial(_store, store))
    yield from made_by("disk", partial(_disk, store))
    yield from made_by("DIV2KRK", partial(_data_set, div2krk))
    yield from made_by("weights", _weights)
    for name in OPTIONAL:
        yield from made_by(name, partial(_program, name))
    yield from made_by("server", _server)


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
    without = f"no GPU that torch {torch.__version__} can use"
    return note("device", without, "training will run on the CPU: use preset fast")


def _cores() -> Finding:
    """The cores in use and in the machine, and whether OMP_NUM_THREADS asks for more."""
    from loky import cpu_count

    allowed, wish = cpu_count(), os.environ.get("OMP_NUM_THREADS", "")
    found = f"{cores()} used, {allowed} allowed for this process, {os.cpu_count()} in the machine"
    if wish and not (wish.isdigit() and int(wish)):
        return note(
            "cores", f"{found}; OMP_NUM_THREADS={wish} is not a number", "set it to a whole number, or unset it"
        )
    if wish and int(wish) > allowed:
        return note(
            "cores", f"{found}; OMP_NUM_THREADS={wish} asks for more", "unset it: threads would block each other"
        )
    return ok("cores", found + (f" (OMP_NUM_THREADS={wish})" if wish else ""))


def _memory() -> Finding:
    free = memory.free()
    found, remedy = f"{free / GB:.1f} GB free", "close other programs, or use a machine with more memory"
    if free < NO_MEMORY:
        return wrong("memory", found, remedy)
    return (
        note("memory", found, f"enough for small images; for larger ones, {remedy}")
        if free < LITTLE_MEMORY
        else ok("memory", found)
    )


def _home() -> Finding:
    state = home() / STATE
    if not os.environ.get("PREFECT_API_URL"):
        make_state(state)
    elif not home().is_dir():
        return note("home", f"no folder {home()}", "nothing to do: the configured Prefect server does not need it")
    return ok("home", str(home()))


def _store(uri: str) -> Finding:
    try:
        store = Store(uri, patient=False)
        store.check_writable()
    except MkganError as fault:
        return wrong("store", str(fault), "set MKGAN_STORE to a writable place with free space")
    return ok("store", f"{store.uri}: wrote a megabyte and read it back")


def _disk(uri: str) -> Iterator[Finding]:
    """Free space for artifacts and for Prefect's database, if they are on disks of this machine."""
    places = {"disk of the home": home()}
    if (store := Store(uri, patient=False)).local:
        places["disk of the store"] = Path(store.path(""))
    for check, place in places.items():
        there = next((folder for folder in (place, *place.parents) if folder.is_dir()), Path("/"))
        free = shutil.disk_usage(there).free
        found = f"{free / GB:.1f} GB free at {there}"
        if free < NO_DISK:
            yield wrong(check, found, "free some space, or set MKGAN_HOME or MKGAN_STORE to another disk")
        elif free < LITTLE_DISK:
            yield note(check, found, "free some space before long runs: mkgan store prune removes what no report needs")
        else:
            yield ok(check, found)


def _data_set(uri: str) -> Finding:
    try:
        count = len(Dataset(uri).ids(2))
    except MkganError as fault:
        return note("DIV2KRK", str(fault), "copy the data set there, or set MKGAN_DIV2KRK: the scheduled runs need it")
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


def _server() -> Iterator[Finding]:
    """The server that commands use, and what is on it; without one, the database of the embedded server."""
    noted = home() / STATE / SERVED
    try:
        read_note(noted)
    except ConfigError as fault:
        what, _, remedy = str(fault).partition("; ")
        yield note(SERVED, what, remedy)
    api_url = use_configured_api()
    if api_url is None:
        prefect_settings.check()
        yield from made_by("database", _database)
        without = "none configured: mkgan benchmark starts its own, but schedules and the Retry button need one"
        yield note("server", without, "run mkgan serve, or set PREFECT_API_URL")
    else:
        check_configured(api_url)
        yield ok("server", api_url)
        yield from examine_server()


def _database() -> Finding:
    file = home() / STATE / database.NAME
    if not file.exists():
        return ok("database", "none yet: the first run creates it")
    if damage := database.damage(file):
        lost = "the next run renames it and starts a new one; the UI forgets earlier runs, but no result is lost"
        return note("database", f"{file} is damaged: {damage}", lost)
    return ok("database", f"{file}, {file.stat().st_size / 1e6:.0f} MB")
