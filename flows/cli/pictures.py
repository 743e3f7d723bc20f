"""Process images one after another: progress, errors, interruption, exit code."""

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
    """How many images are done, and how long the rest will take.

    Attributes:
        of: number of images; 0 while unknown.
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
        """Note that the next image was started."""
        self.name, self.label, self.share, self._began = name, "", 0.0, self.clock()

    def hear(self, label: str, share: float) -> None:
        """Note the current step and its finished share, 0 to 1."""
        if label != self.label or share == 0:
            self.label, self._label_began = label, self.clock()
        self.share = share

    def end(self, worked: bool) -> None:
        """Note that the image is done; the time of a bad one (``worked`` false) does not count for the forecast."""
        self.done += 1
        if worked:
            self._times.append(self.clock() - self._began)

    def standing(self) -> Shown:
        """Description, finished share and seconds left."""
        return self.what, self.bar, self.left_s

    @property
    def what(self) -> str:
        """What is being done, for the progress line."""
        number = f"{min(self.done + 1, self.of)}/{self.of} " if self.of > 1 else ""
        share = f" {self.share:.0%}" if self.share else ""
        return f"{number}{self.name}" + (f": {self.label}{share}" if self.label else "")

    @property
    def bar(self) -> float:
        """The finished share of all images; for a single image, that of its current step."""
        return self.done / self.of if self.of > 1 else self.share

    @property
    def left_s(self) -> float | None:
        """Seconds left: the mean time of the finished images; for a single image, until the end of its step."""
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
    """Do the work for every image; a bad image does not stop the others.

    Args:
        planned: the images.
        faults: errors of other inputs.
        work: processes one image.
        display: shows progress and errors.
        kept: number of finished images -> what an interruption leaves, and how to continue.
        skipped: number of images that were finished before.

    Raises:
        ConfigError, WeightsError: for an error that would stop every image.
        typer.Exit: with code 2 if no image could be processed, 1 if some failed.
        Interrupted: after a signal.
    """
    progress, told, done = Progress(len(planned)), [], 0
    bad_input = True  # whether all failures so far were bad input

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
    """The message, with the image's address in front unless it names the image already."""
    return message if source.name in message else f"{source.address}: {message}"
