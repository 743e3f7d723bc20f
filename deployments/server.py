"""The Prefect server that a command talks to: the configured one, that of `mkgan serve`, or one of its own."""

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
AUTH = "auth"  # file in that folder: what a caller of `mkgan serve` must show
BUSY_S = 90  # how long a server on a busy machine may take to answer
log = logging.getLogger(__name__)


class Served(NamedTuple):
    """A `mkgan serve` that runs in this home: the address of its API, its process, what it wants to be shown."""

    api_url: str
    pid: int
    auth: str | None


def auth_of(state: Path) -> str:
    """What callers of this home's `mkgan serve` must show: the person's own word, else one made once.

    Raises:
        ConfigError: if the file of the latter cannot be used.
    """
    if own := os.environ.get(prefect_settings.SERVER_AUTH):
        return own
    file = state / AUTH
    try:
        if not file.exists():
            _write_secret(file, f"mkgan:{secrets.token_urlsafe(24)}\n")
        word = file.read_text().strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{file} cannot be used ({fault}); remove it, and it is made anew") from fault
    if ":" not in word:
        raise ConfigError(f"{file} holds no name:password; remove it, and it is made anew")
    return word


def note_served(server: EmbeddedServer) -> None:
    """Let the other commands of this home find the server of this process, `mkgan serve`."""
    note = Served(server.api_url, os.getpid(), server.auth)
    _write_secret(server.state / SERVED, json.dumps(note._asdict()))


def _write_secret(file: Path, text: str) -> None:
    """Write a file that nobody else can read, not even for a moment, nor ever half of it."""
    new = file.with_name(f"{file.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    new.rename(file)


def served() -> Served | None:
    """The `mkgan serve` that runs in this home, or None.

    Raises:
        ConfigError: if it runs but does not answer; a second server on the same database would make things worse.
    """
    file = home() / STATE / SERVED
    try:
        note = read_note(file)
    except ConfigError as fault:
        log.warning("%s; it is ignored", fault)
        return None
    deadline = time.monotonic() + BUSY_S
    while note and not answers(note.api_url, note.auth):
        if not _alive(note.pid):
            return None
        if time.monotonic() > deadline:
            raise ConfigError(
                f"mkgan serve (process {note.pid}) does not answer at {note.api_url}; end it, or remove {file} "
                "if it has ended already"
            )
        time.sleep(0.5)
    return note


def read_note(file: Path) -> Served | None:
    """What a `mkgan serve` has noted; None if there is nothing.

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
    raise ConfigError(f"{file} is damaged; remove it, and start mkgan serve again if it runs")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return True


def use_configured_api() -> str | None:
    """Point Prefect at the server of the environment or of `mkgan serve`; returns its address, None without a server.

    Call it before Prefect is imported: Prefect reads its settings then.

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
    """Ask the configured server something.

    Raises:
        ConfigError: if it does not answer as it should, with the remedy.
    """
    import httpx
    from prefect.client.base import ServerType
    from prefect.client.orchestration import get_client
    from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    other = "set PREFECT_API_URL to another, or unset it"
    try:
        with temporary_settings({PREFECT_API_URL: api_url, PREFECT_CLIENT_MAX_RETRIES: 2}):
            client: Any = get_client(sync_client=True)  # as a run will ask: with its certificates, headers and password
            healthy = client.request("GET", "/health").json() is True
            if client.server_type is ServerType.CLOUD or (
                healthy and isinstance(client.request("GET", "/admin/version").json(), str)
            ):
                return
    except httpx.HTTPStatusError as fault:
        if fault.response.status_code in (401, 403):
            raise ConfigError(
                f"the Prefect server at {api_url} wants a password; set PREFECT_API_AUTH_STRING to its name:password"
            ) from fault
        if fault.response.status_code >= 500:
            raise ConfigError(
                f"the server at {api_url} says {fault.response.status_code}, an error of its own; try later, or {other}"
            ) from fault
    except (httpx.TransportError, httpx.InvalidURL) as fault:
        raise ConfigError(f"no Prefect server answers at {api_url} ({fault}); start it, or {other}") from fault
    except (ValueError, httpx.HTTPError):
        pass
    raise ConfigError(f"what answers at {api_url} is no Prefect server; {other}")


def ensure_prefect_api() -> EmbeddedServer | None:
    """Make sure that there is a Prefect API: None if one is configured, else a server that ends with this process.

    The server's state is in ``.prefect`` in mkgan's home, so that nothing is written outside the checkout. Call it
    before Prefect is imported: Prefect reads its settings then, and what it still has to send at exit must go out
    before the server ends (functions registered for exit run in reverse order).

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
    # a free port of the loopback, for as long as the command runs: no password but the person's own
    server = EmbeddedServer(state, auth=auth_of if os.environ.get(prefect_settings.SERVER_AUTH) else None)
    atexit.register(server.stop)
    os.environ |= prefect_settings.of_client(server.api_url, state, auth=server.auth)
    prefect_settings.check()
    return server


def own_state() -> Path | None:
    """Folder of the state if Prefect's server is one of this home; None for a server elsewhere."""
    state = home() / STATE
    return state if os.environ.get("PREFECT_HOME") == str(state) else None


def _configured() -> bool:
    return any(name in os.environ for name in ("PREFECT_API_URL", "PREFECT_HOME", "PREFECT_PROFILE"))
