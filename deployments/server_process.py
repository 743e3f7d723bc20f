"""The process of the embedded Prefect server; it ends when the process that started it ends, for any reason.

`deployments.embedded` starts it and holds the other end of its standard input. A server that outlived a killed command
would keep the database locked for the next server.
"""

from __future__ import annotations

import socket
import sys

import uvicorn

from deployments.guard import guarded
from deployments.prefect_settings import allowed_hosts
from deployments.tied import end_with_starter


def serve(host: str, listener: socket.socket) -> None:
    """Serve on a listening socket, for requests that use one of this machine's names."""
    from prefect.server.api.server import create_app

    server = uvicorn.Server(uvicorn.Config(guarded(create_app(), allowed_hosts(host)), log_level="error"))
    server.run(sockets=[listener])
    if not server.started:
        sys.exit(1)


if __name__ == "__main__":
    end_with_starter()
    serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2])))
