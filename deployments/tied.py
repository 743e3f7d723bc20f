"""Lets a process that `deployments` starts end together with its starter, for whatever reason that one ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

GRACE_S = 10  # after SIGTERM


def end_with_starter() -> None:
    """From now on end this process and its children when the other end of its standard input is closed.

    The starter holds that end, and has made this process the leader of a process group.
    """
    threading.Thread(target=_wait, name="mkgan starter", daemon=True).start()


def _wait() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE_S)
    os.killpg(0, signal.SIGKILL)
