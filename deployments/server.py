"""The Prefect server that a command uses: the configured one, that of `mkgan serve`, or an embedded one."""

from __future__ import annotations

import atexit
import json
import logging
import os
import secrets
import time
from pathlib import Path
from typing import Any, NamedTuple

from deployments import prefect_settings
from deployments.embedded import EmbeddedServer, answers
from mkgan_core.errors import ConfigError
from mkgan_core.machine.places import home

STATE = ".prefect"  # folder in mkgan's home: database, logs, Prefect's profiles
SERVED = "served.json"  # file in that folder, while `mkgan serve` runs
AUTH = "auth"  # file in that folder: credentials for `mkgan serve`
BUSY_S = 90  # how long a server on a busy machine may take to answer
log = logging.getLogger(__name__)


class Served(NamedTuple):
    """A running `mkgan serve` with this home folder: the address of its API, its process, its credentials."""

    api_url: str
    pid: int
    auth: str | None


def auth_of(state: Path) -> str:
    """The credentials for this home's `mkgan serve`: those that the user set, else a generated pair stored in a file.

    Raises:
        ConfigError: if that file cannot be used.
    """
    if own := os.environ.get(prefect_settings.SERVER_AUTH):
        return own
    file = state / AUTH
    try:
        if not file.exists():
            _write_secret(file, f"mkgan:{secrets.token_urlsafe(24)}\n")
        word = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(f"cannot use {file} ({fault}); remove it, and mkgan creates a new one") from fault
    if ":" not in word:
        raise ConfigError(f"{file} contains no name:password; remove it, and mkgan creates a new one")
    return word


def note_served(server: EmbeddedServer) -> None:
    """Write a note, so that other commands with this home folder find the server of `mkgan serve`."""
    note = Served(server.api_url, os.getpid(), server.auth)
    _write_secret(server.state / SERVED, json.dumps(note._asdict()))


def _write_secret(file: Path, text: str) -> None:
    """Write a file atomically, readable only for its owner at all times."""
    new = file.with_name(f"{file.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    new.rename(file)


def served() -> Served | None:
    """The running `mkgan serve` with this home folder, or None.

    Raises:
        ConfigError: if it runs but does not answer; a second server must not use the same database.
    """
    file = home() / STATE / SERVED
    try:
        note = read_note(file)
    except ConfigError as fault:
        log.warning("%s; ignoring it", fault)
        return None
    deadline = time.monotonic() + BUSY_S
    while note and not answers(note.api_url, note.auth):
        if not _alive(note.pid):
            return None
        if time.monotonic() > deadline:
            raise ConfigError(
                f"mkgan serve (process {note.pid}) does not answer at {note.api_url}; stop it, or remove {file} "
                "if it has already ended"
            )
        time.sleep(0.5)
    return note


def read_note(file: Path) -> Served | None:
    """The note of a `mkgan serve`; None if there is none.

    Raises:
        ConfigError: if the file is damaged.
    """
    try:
        given: Any = json.loads(file.read_text())
        note = Served(given["api_url"], given["pid"], given.get("auth"))
        if isinstance(note.api_url, str) and isinstance(note.pid, int) and isinstance(note.auth, str | None):
            return note
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    raise ConfigError(f"{file} is damaged; remove it, and restart mkgan serve if it is running")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's process
        return True
    return True


def use_configured_api() -> str | None:
    """Make Prefect use the configured server or that of `mkgan serve`; return its address, None without a server.

    Call it before Prefect is imported, because Prefect reads its settings then.

    Raises:
        ConfigError: if Prefect's settings cannot be read, or `mkgan serve` does not answer.
    """
    prefect_settings.apply()
    if _configured():
        return prefect_settings.check()
    found = served()
    if found is None:
        return None
    os.environ |= prefect_settings.of_client(found.api_url, home() / STATE, auth=found.auth)
    prefect_settings.check()
    return found.api_url


def check_configured(api_url: str) -> None:
    """Check that the configured server answers like a Prefect server.

    Raises:
        ConfigError: if it does not, with a remedy.
    """
    import httpx
    from prefect.client.base import ServerType
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    other = "set PREFECT_API_URL to another server, or unset it"
    try:
        with temporary_settings({PREFECT_API_URL: api_url, PREFECT_CLIENT_MAX_RETRIES: 2}):
            client: Any = get_client(sync_client=True)  # with the same certificates, headers and password as a run
            healthy = client.request("GET", "/health").json() is True
            if client.server_type is ServerType.CLOUD or (
                healthy and isinstance(client.request("GET", "/admin/version").json(), str)
            ):
                return
    except httpx.HTTPStatusError as fault:
        if fault.response.status_code in (401, 403):
            raise ConfigError(
                f"the Prefect server at {api_url} needs a password; set PREFECT_API_AUTH_STRING to its name:password"
            ) from fault
        if fault.response.status_code >= 500:
            raise ConfigError(
                f"the server at {api_url} fails with status {fault.response.status_code}; try again later, or {other}"
            ) from fault
    except (httpx.TransportError, httpx.InvalidURL) as fault:
        raise ConfigError(f"no Prefect server answers at {api_url} ({fault}); start it, or {other}") from fault
    except (ValueError, httpx.HTTPError):
        pass
    raise ConfigError(f"the server at {api_url} is not a Prefect server; {other}")


def ensure_prefect_api() -> EmbeddedServer | None:
    """Make sure that there is a Prefect API: None if one is configured, else a server that ends with this process.

    The server's state is in ``.prefect`` in mkgan's home, so that nothing is written outside the checkout. Call this
    before Prefect is imported: Prefect reads its settings then, and its exit handlers must send their last messages
    before the server stops (exit handlers run in reverse order).

    Raises:
        ConfigError: if the configured server does not answer, the home cannot be written, or Prefect's settings
            cannot be read.
    """
    api_url = use_configured_api()
    if api_url:
        check_configured(api_url)
    if _configured():
        return None
    state = home() / STATE
    # on a free loopback port, while the command runs: no password unless the user set one
    server = EmbeddedServer(state, auth=auth_of if os.environ.get(prefect_settings.SERVER_AUTH) else None)
    atexit.register(server.stop)
    os.environ |= prefect_settings.of_client(server.api_url, state, auth=server.auth)
    prefect_settings.check()
    return server


def own_state() -> Path | None:
    """The state folder, if Prefect's server belongs to this home folder; None for another server."""
    state = home() / STATE
    return state if os.environ.get("PREFECT_HOME") == str(state) else None


def _configured() -> bool:
    return any(name in os.environ for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"))
