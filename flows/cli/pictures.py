"""Doing the same for one picture after the other: progress, faults, interruption, exit code."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import typer

from flows.cli.display import Display, Shown
from flows.cli.inputs import Input
from flows.cli.interruption import attended
from flows.cli.outputs import Target
from mkgan_core.errors import ConfigError, MkganError, WeightsError, out_of_memory
from mkgan_core.machine.progress import listening


@dataclass
class Progress:
    """How far one picture after the other is, and how long the rest takes.

    Attributes:
        of: how many pictures there are; 0 while that is not known.
        clock: the time in seconds.
    """

    of: int = 0
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    name: str = ""
    label: str = ""
    share: float = 0.0
    _times: list[float] = field(default_factory=list)
    _began: float = 0.0
    _label_began: float = 0.0

    def begin(self, name: str) -> None:
        """The next picture is begun."""
        self.name, self.label, self.share, self._began = name, "", 0.0, self.clock()

    def hear(self, label: str, share: float) -> None:
        """Take what is being done to the picture, and the share of that which is done."""
        if label != self.label or share == 0:
            self.label, self._label_began = label, self.clock()
        self.share = share

    def end(self, worked: bool) -> None:
        """The picture is done; or it was bad, which tells nothing of the others."""
        self.done += 1
        if worked:
            self._times.append(self.clock() - self._began)

    def standing(self) -> Shown:
        """How far it all is."""
        return self.what, self.bar, self.left_s

    @property
    def what(self) -> str:
        """What is being done, in words."""
        number = f"{min(self.done + 1, self.of)}/{self.of} " if self.of > 1 else ""
        share = f" {self.share:.0%}" if self.share else ""
        return f"{number}{self.name}" + (f": {self.label}{share}" if self.label else "")

    @property
    def bar(self) -> float:
        """The share of all pictures that is done; of a single one, of the step at work."""
        return self.done / self.of if self.of > 1 else self.share

    @property
    def left_s(self) -> float | None:
        """Seconds until the end of all pictures, as long as those before took; of the first, until the step's end."""
        now = self.clock()
        step = (now - self._label_began) * (1 - self.share) / self.share if self.share else None
        if not self._times:
            return step if self.of == 1 else None
        mean = sum(self._times) / len(self._times)
        current = max(mean - (now - self._began), step or 0.0)
        return max(0.0, current + mean * (self.of - self.done - 1))


def each(
    planned: Sequence[Target],
    faults: Sequence[MkganError],
    work: Callable[[Target], None],
    display: Display,
    kept: Callable[[int], str],
    skipped: int = 0,
) -> None:
    """Do the work for every picture; a bad one costs only itself.

    Args:
        planned: the pictures.
        faults: what was wrong with other inputs.
        work: what to do with one.
        display: for progress, and for what is wrong.
        kept: says, of how many pictures are done, what an interruption leaves and how to go on.
        skipped: how many pictures were done before.

    Raises:
        ConfigError, WeightsError: for what would stop every picture.
        typer.Exit: with code 2 if nothing could be done, 1 if some pictures failed.
        Interrupted: after a signal.
    """
    progress, told, done = Progress(len(planned)), [], 0
    bad_input = True  # all that failed so far

    def fail(message: str) -> None:
        told.append(" ".join(message.split()))
        display.error(told[-1])

    def run() -> None:
        nonlocal done, bad_input
        for target in planned:
            progress.begin(target.source.name)
            try:
                work(target)
                done += 1
                progress.end(worked=True)
            except (ConfigError, WeightsError):
                raise
            except Exception as fault:
                if not isinstance(fault, MkganError) and not out_of_memory(fault):
                    raise
                bad_input = bad_input and isinstance(fault, MkganError)
                fail(_about(target.source, str(fault)))
                progress.end(worked=False)

    for fault in faults:
        fail(str(fault))
    with listening(progress.hear):
        attended(run, display, progress.standing, lambda: kept(done))
    if told and done:
        display.error_list(f"{len(told)} of {len(planned) + len(faults)} failed:", told)
    if told:
        raise typer.Exit(1 if done or skipped or not bad_input else 2)


def _about(source: Input, message: str) -> str:
    """A fault that names the picture it is about."""
    return message if source.name in message else f"{source.address}: {message}"
