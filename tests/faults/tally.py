"""Counts that survive: each is in the JSON file as soon as it is known, and a later call of the soak adds to them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

MOST_FAULTS = 200  # kinds of faults that are kept


class Tally:
    """The counts of one kind of trial.

    Args:
        file: where all counts are kept; None keeps them in memory.
        name: of this kind.
    """

    def __init__(self, file: Path | None, name: str) -> None:
        self.file, self.name = file, name
        self.counts: dict[str, Any] = read(file).get(name, {})

    def count(self, what: str, times: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + int(times)
        self._save()

    def set(self, what: str, value: float | str) -> None:
        self.counts[what] = value
        self._save()

    def most(self, what: str, value: float) -> None:
        self.counts[what] = max(value, self.counts.get(what, value))
        self._save()

    def fault(self, what: str, example: str) -> None:
        """Something that must not happen: what, by which equal ones are counted together, and an example."""
        faults = self.counts.setdefault("faults", {})
        if what not in faults:
            print(f"FAULT {self.name}: {what}: {example}", file=sys.stderr, flush=True)
        if what in faults or len(faults) < MOST_FAULTS:
            faults.setdefault(what, {"times": 0, "example": example})["times"] += 1
        self.count("faults in all")

    def _save(self) -> None:
        if self.file is None:
            return
        everything = {**read(self.file), self.name: self.counts}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        apart = self.file.with_suffix(".new")
        apart.write_text(json.dumps(everything, indent=1) + "\n")
        os.replace(apart, self.file)


def read(file: Path | None) -> dict[str, dict[str, Any]]:
    return json.loads(file.read_text()) if file is not None and file.exists() else {}
