"""Counts that survive: each is in the JSON file as soon as it is known, and a later call of the soak adds to them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

MOST_FAULTS = 50  # that are kept in full, of each kind


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

    def most(self, what: str, value: float) -> None:
        self.counts[what] = max(value, self.counts.get(what, value))
        self._save()

    def fault(self, text: str) -> None:
        """Something that must not happen."""
        print(f"FAULT {self.name}: {text}", file=sys.stderr, flush=True)
        faults = self.counts.setdefault("faults", [])
        self.counts["fault count"] = self.counts.get("fault count", 0) + 1
        if len(faults) < MOST_FAULTS:
            faults.append(text)
        self._save()

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
