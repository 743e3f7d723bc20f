"""For processes that `deployments` starts: to end with the process that started them, however that one ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

GRACE_S = 10  # after SIGTERM


def end_with_starter() -> None:
    """From now on end this process, and those that it starts, when the other end of its standard input is closed.

    Its starter holds that end, and made it the leader of a process group.
    """
    threading.Thread(target=_wait, name="mkgan starter", daemon=True).start()


def _wait() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)
