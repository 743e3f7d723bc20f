"""The embedded Prefect server's own process: it ends with the process that started it, however that one ends.

`deployments.server` starts it and holds the other end of its standard input. A server that outlived a killed command
would keep the database locked for the next command's server.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

import uvicorn


def end_with_starter() -> None:
    """Wait until the other end of the standard input is closed; then end as on SIGTERM."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    host, port = sys.argv[1:]
    threading.Thread(target=end_with_starter, daemon=True).start()
    uvicorn.run("prefect.server.api.server:create_app", factory=True, host=host, port=int(port), log_level="error")
