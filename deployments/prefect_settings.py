"""Prefect's settings: the environment of every server, worker and flow run that mkgan starts.

A variable that is already set wins, except those for a process's addresses and folders.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr
from pathlib import Path

from mkgan_core.errors import ConfigError

ALLOWED_HOSTS = "MKGAN_ALLOWED_HOSTS"  # names that other machines use for a server, separated by commas
SERVER_AUTH = "PREFECT_SERVER_API_AUTH_STRING"
SERVER_START_S = 240  # the first start creates the database: 20 s here, more on a busy machine
HEARTBEAT_S = 30

QUIET: Mapping[str, str] = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
"""No telemetry and no advertisements."""

LEASES: Mapping[str, str] = {
    # in memory (Prefect's default), a slot in use when the server dies would never become free again
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
}
"""Where a server stores which steps occupy slots."""

DATABASE: Mapping[str, str] = {
    # on a busy machine the database may not respond for longer than Prefect's 5 and 10 s
    "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
}
"""How long a server waits for its database."""

RUN: Mapping[str, str] = {
    # a run without heartbeats counts as dead (`automations`)
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
    # the core's log lines appear in the run's log, in the UI
    "PREFECT_LOGGING_EXTRA_LOGGERS": "mkgan_core",
    # a server whose database is busy answers 500: retry
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
}
"""Settings of every flow run, on any machine."""

COMMAND: Mapping[str, str] = {
    **QUIET,
    **DATABASE,
    **RUN,
    # longest time between two requests of a step for a GPU slot
    "PREFECT_SERVER_TASKS_TAG_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
    # the terminal shows our progress; the run's log in the UI is complete
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(SERVER_START_S),
}
"""Settings of the command `mkgan` and the server that it starts."""


def apply() -> None:
    """Apply the settings of a command to this process. Call it before Prefect is imported, which reads them."""
    for name, value in COMMAND.items():
        os.environ.setdefault(name, value)


def check() -> str | None:
    """Make Prefect read its settings from the complete environment; return the address of the server's API.

    Raises:
        ConfigError: if a value is invalid.
    """
    from pydantic import ValidationError

    heard = io.StringIO()
    try:
        with redirect_stderr(heard):  # Prefect's import prints the same error on many lines
            from prefect.settings import get_current_settings

            api_url = get_current_settings().api.url
    except ValidationError as fault:
        first = fault.errors()[0]
        value = str(first["input"]).casefold()
        given = [name for name, text in os.environ.items() if name.startswith("PREFECT_") and text.casefold() == value]
        what = " or ".join(given) or f"Prefect's {fault.title}, {'.'.join(map(str, first['loc']))}"
        raise ConfigError(f"{what}: {first['msg']}; correct or unset it") from fault
    except ValueError as fault:  # a value that is not JSON; the message names the setting
        raise ConfigError(f"Prefect's settings: {fault}; correct or unset its PREFECT_ variable") from fault
    sys.stderr.write(heard.getvalue())
    return api_url


def of_client(api_url: str, state: Path, ui_url: str | None = None, auth: str | None = None) -> dict[str, str]:
    """Settings for a process that uses the server: its address, and the folder of Prefect's files.

    Args:
        api_url: address of the server's API.
        state: folder for the database, the logs and the profiles.
        ui_url: address of the UI, for links in messages.
        auth: credentials for the server, ``name:password``.
    """
    links = {"PREFECT_UI_URL": ui_url} if ui_url else {}
    password = {"PREFECT_API_AUTH_STRING": auth} if auth else {}
    return {
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(state),
        "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "true",
        **links,
        **password,
    }


def of_server(state: Path, url: str, auth: str | None = None) -> dict[str, str]:
    """Environment of the embedded server's process, which answers at ``url`` to callers with credentials ``auth``."""
    password = {SERVER_AUTH: auth} if auth else {}
    return {
        **COMMAND,
        **LEASES,
        **os.environ,
        "PREFECT_HOME": str(state),
        "PREFECT_UI_URL": url,
        "PREFECT_SERVER_UI_API_URL": "/api",  # relative: a browser may use another name for this machine
        "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
        "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
        # pages of other origins can neither read nor change anything; `guard` also covers WebSockets
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": url,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        **password,
    }


def allowed_hosts(host: str) -> list[str]:
    """Accepted names for a server that listens on ``host``: its own, and those in ``MKGAN_ALLOWED_HOSTS``.

    Raises:
        ConfigError: for an invalid pattern.
    """
    given = [name.strip() for name in os.environ.get(ALLOWED_HOSTS, "").split(",")]
    for name in given:
        if "*" in name.removeprefix("*.") and name != "*":
            raise ConfigError(
                f"{ALLOWED_HOSTS}: {name!r} is not a host name; write it like bench.example.org or *.example.org"
            )
    return ["127.0.0.1", "localhost", host, *filter(None, given)]


def of_worker(checkout: Path, home: Path) -> dict[str, str]:
    """Environment of the worker of `mkgan serve`."""
    return {
        **{name: value for name, value in os.environ.items() if name != SERVER_AUTH},
        "MKGAN_CHECKOUT": str(checkout),
        "MKGAN_HOME": str(home),
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "INFO",  # its console is its log file
    }


def of_pool(result_storage: str) -> dict[str, str]:
    """Environment of the flow runs of a work pool.

    Args:
        result_storage: slug of the block that holds the results of all runs.
    """
    return {"PREFECT_DEFAULT_RESULT_STORAGE_BLOCK": result_storage, **RUN}
