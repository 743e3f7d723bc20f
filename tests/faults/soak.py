"""The long form of the faults: kills, bad inputs, faulty storage, cold imports, determinism.

It prints what it counted. With ``--json FILE`` each count is in the file as soon as it is known, and a later call adds
to what is there, with other seeds. ``--markdown FILE`` prints that file as the tables of RELIABILITY.md.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import walks
from tests.faults.faulty_fs import register
from tests.faults.tally import Tally, read

# kinds of trials -> their share of the time
SHARES = {"kills": 0.6, "inputs": 0.2, "storage": 0.05, "imports": 0.12, "determinism": 0.03}
PROCESSES = 200  # of cold imports
CASES = {
    "images": 2500,
    "masks": 1000,
    "kernels": 1700,
    "layouts": 1800,
    "options": 1800,
    "reports": 900,
    "run.json": 600,
}
AT_A_TIME = 100  # cases between two looks at the clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="about how long")
    parser.add_argument(
        "--only", action="append", help=f"{', '.join(SHARES)}; or a class of kills, such as kills:steps"
    )
    parser.add_argument("--json", type=Path, help="keep the counts in this file, and add to those in it")
    parser.add_argument("--markdown", type=Path, help="print the counts of this file, and do nothing else")
    given = parser.parse_args()
    if given.markdown:
        print(markdown(given.markdown))
        return
    register({})
    chosen = given.only or list(SHARES)
    shares = {name: SHARES[name.partition(":")[0]] for name in chosen}
    seed = 10_000 * int(time.time() // 60 % 10_000)  # another one each time
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="mkgan-soak-") as folder:
        root = Path(folder)
        os.environ |= {"MKGAN_HOME": str(root / "home"), "MKGAN_WEIGHTS": "", "MKGAN_CACHE": str(root / "cache")}
        for name in chosen:
            until = time.monotonic() + 60 * given.minutes * shares[name] / sum(shares.values())
            kind, _, part = name.partition(":")
            TRIALS[kind](root / kind, given.json, seed, until, part)
    if given.json:
        print(markdown(given.json))
        sys.exit(any("faults" in counts for counts in read(given.json).values()))


def kills(root: Path, file: Path | None, seed: int, until: float, part: str) -> None:
    from tests.faults import kill_classes

    data = walks.one_image(root / "data")
    names = [part] if part else list(kill_classes.CLASSES)
    left = sum(kill_classes.CLASSES[name][1] for name in names)
    for name in names:
        make, share = kill_classes.CLASSES[name]
        tally, end = Tally(file, f"kills: {name}"), time.monotonic() + (until - time.monotonic()) * share / left
        left -= share
        try:
            with make(root / name, data) as trial:
                for number in itertools.count(seed):
                    trial.round(number, tally)
                    if time.monotonic() > end:
                        break
        except (Exception, pytest.skip.Exception) as fault:  # a class whose programs are not installed is skipped
            tally.fault(f"the trial itself broke: {type(fault).__name__}", str(fault)[-1500:])


def inputs(root: Path, file: Path | None, seed: int, until: float, part: str) -> None:
    from tests.faults import fuzz

    wanted = {part: CASES[part]} if part else CASES
    tally = Tally(file, "inputs")
    done = dict.fromkeys(wanted, 0)
    for batch in itertools.count():
        open_ones = [kind for kind in wanted if done[kind] < wanted[kind]]
        if not open_ones:
            return
        for kind in open_ones:
            if time.monotonic() > until:
                return
            done[kind] += fuzz.run(kind, AT_A_TIME, root / kind, seed + batch, tally)


def storage(root: Path, file: Path | None, seed: int, until: float, part: str) -> None:
    from tests.faults import storage_trials

    storage_trials.run(root, Tally(file, "storage"), seed, until)


def imports(root: Path, file: Path | None, seed: int, until: float, part: str) -> None:
    from tests.faults import cold_imports

    tally = Tally(file, "imports")
    for number in range(PROCESSES):
        if time.monotonic() > until:
            return
        fault = cold_imports.fresh(seed + number)
        tally.count(f"processes with {cold_imports.THREADS} threads")
        tally.count("processes in which all went well", fault is None)
        if fault:
            lines = fault.strip().splitlines()
            tally.fault(lines[-1], fault)


def determinism(root: Path, file: Path | None, seed: int, until: float, part: str) -> None:
    from tests.faults import determinism as trial

    trial.compare(root, Tally(file, "determinism"))


TRIALS: dict[str, Callable[[Path, Path | None, int, float, str], None]] = {
    "kills": kills,
    "inputs": inputs,
    "storage": storage,
    "imports": imports,
    "determinism": determinism,
}


def markdown(file: Path) -> str:
    """The counts as a table, and the faults that were found."""
    return "\n".join(_lines(file))


def _lines(file: Path) -> Iterator[str]:
    everything = read(file)
    yield "| trial | counted |"
    yield "|---|---|"
    for name, counts in everything.items():
        shown = [f"{value} {what}" for what, value in counts.items() if what != "faults"]
        yield f"| {name} | {'; '.join(shown)} |"
    for name, counts in everything.items():
        for what, fault in counts.get("faults", {}).items():
            example = " ".join(fault["example"].split())
            yield f"\nFAULT in {name}, {fault['times']} times: {what}: {example}"


if __name__ == "__main__":
    main()
