"""The command `mkgan` in this process, thousands of times, and what a person may expect of it whatever it is given."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from unittest import mock

HANG_S = 60
SECRET = "secretpw"  # in the URLs that the fuzzers give; nobody may see it again
HIDDEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)  # those Python does not show


class Hang(BaseException):
    """The command took too long."""


class Planned(BaseException):
    """A benchmark is planned; here it is not run."""


@dataclass(frozen=True)
class Outcome:
    """What a command did.

    Attributes:
        code: its exit code; None if it ended otherwise.
        out, err: what it printed.
        crash: an exception and where our code was, or ``hang``.
        warned: the warnings that Python would have shown.
    """

    code: int | None
    out: str
    err: str
    crash: str | None
    warned: tuple[str, ...]

    @property
    def kind(self) -> str:
        """In one word, for counts."""
        if self.crash:
            return "hang" if self.crash == "hang" else "traceback"
        if self.code == 2:
            return "usage" if self.err.startswith("Usage:") else "refused"
        return {0: "done", 1: "findings"}.get(self.code if self.code is not None else -1, "other exit code")

    def wrong(self, names: Sequence[str]) -> str | None:
        """What nobody may expect; None if all is well.

        Args:
            names: of which a refusal must give one: files, folders or options; those of a letter or two would be in
                any text.
        """
        if self.crash:
            return self.crash
        if self.code not in (0, 1, 2):
            return f"exit code {self.code}"
        if self.warned:
            return f"a warning: {self.warned[0]}"
        if "Traceback" in self.err + self.out:
            return "it printed a traceback"
        if SECRET in self.err + self.out:
            return "it showed a password"
        if self.kind == "refused":
            lines = self.err.splitlines()  # one for each file that is refused, and one for what all need
            if not lines or not all(line.startswith("error: ") for line in lines):
                return "exit code 2 without its line"
            if not any(name in self.err for name in names if len(name) > 2):
                return "a refusal that names no file and no option"
        return None


def call(*arguments: str) -> Outcome:
    """Run the command; a benchmark only as far as its plan."""
    from flows.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    code: int | None = None
    crash = None
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    level = logging.root.manager.disable
    with (
        warnings.catch_warnings(record=True) as caught,
        _no_run(),
        mock.patch.dict(os.environ),  # options such as --weights are told to children by the environment
        mock.patch.object(sys, "argv", ["mkgan", *arguments]),
        mock.patch("flows.cli.main.end_soon"),  # else this process ends with the command's code
    ):
        warnings.simplefilter("always")
        for kind in (UserWarning, RuntimeWarning):  # as `keep_pillow_quiet`, which pytest undoes after each test
            warnings.filterwarnings("ignore", category=kind, module=r"PIL\.")
        try:
            with _limit(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        except Planned:
            code = 0
        except Hang:
            crash = "hang"
        except BaseException as fault:
            frames = traceback.extract_tb(fault.__traceback__)
            own = [frame for frame in frames if "/.venv/" not in frame.filename] or frames
            crash = f"{type(fault).__name__}: {fault} ({own[-1].filename}:{own[-1].lineno})"
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            logging.disable(level)
    warned = tuple(f"{one.category.__name__}: {one.message}" for one in caught if not issubclass(one.category, HIDDEN))
    return Outcome(code, out.getvalue(), err.getvalue(), crash, warned)


@contextmanager
def _limit() -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, HANG_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _no_run() -> Iterator[None]:
    """Neither server nor flow run: those take seconds, and their input was checked before."""

    def planned(*_: object, **__: object) -> None:
        raise Planned

    with (
        mock.patch("deployments.server.ensure_prefect_api", return_value=None),
        mock.patch("flows.cli.run.attended", planned),
        mock.patch("flows.retry.read_flow_run", planned),
    ):
        yield
