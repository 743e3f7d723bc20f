"""Faulty storage in the long form: every operation in turn, and plans made at random."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

from mkgan_core.machine.storage import Store
from mkgan_core.reports import upkeep
from tests.faults import walks
from tests.faults.faulty_fs import DAMAGES, RAISED, Fault, faulty
from tests.faults.kills import remove
from tests.faults.tally import Tally

RANDOM_PLANS = 300
KINDS = (*RAISED, *DAMAGES, "delete", "misread", "short", "slow")


def run(root: Path, tally: Tally, seed: int, until: float) -> None:
    """Try plans until the time is over; after each, a healthy run must make what an undisturbed one makes."""
    data, whole = walks.one_image(root / "data"), root / "whole"
    assert walks.attempt(data, str(whole)) is None
    wanted = walks.finished(whole)
    with faulty() as plan:
        walks.attempt(data, f"faulty://{root}/counted")
    for number, (name, faults) in enumerate(_plans(plan.operations, seed)):
        if time.monotonic() > until:
            return
        store = root / f"store-{number}"
        with faulty(*faults, seed=seed + number) as used:
            try:
                fault = walks.attempt(data, f"faulty://{store}")
            except Exception as error:  # not ours: no run may end so
                tally.fault(f"{name}: {type(error).__name__}", f"{faults}: {error}")
                fault = str(error)
        tally.count(f"plans: {name}")
        tally.count("faults injected", sum(used.fired.values()))
        tally.count("runs that made their report all the same", fault is None)
        if store.exists():
            tally.count("files .part left", len(walks.parts(store)))
            tally.count("damaged records found by store check", len(upkeep.check(Store(str(store))).damaged))
        again = walks.attempt(data, str(store))
        tally.count("healthy runs after it")
        if again is not None or walks.finished(store) != wanted:
            tally.fault(f"{name}: not the same afterwards", f"{faults}: {again}")
        else:
            tally.count("of them the same to the last bit")
        remove(store)


def _plans(operations: int, seed: int) -> Iterator[tuple[str, list[Fault]]]:
    chance = random.Random(seed)
    turns = [(at, ever, late) for at in range(1, operations + 1) for ever, late in ((0, 0), (1, 0), (0, 1))]
    chance.shuffle(turns)  # a short trial sees some of all
    made = iter(turns)
    for _ in range(max(RANDOM_PLANS, len(turns))):
        if turn := next(made, None):
            at, ever, late = turn
            name = "every later one fails" if ever else "done, but fails" if late else "fails once"
            yield f"the n-th operation {name}", [Fault("error", at=at, ever=bool(ever), late=bool(late))]
        kinds = chance.sample(KINDS, chance.randint(1, 3))
        rate = chance.choice((0.02, 0.1, 0.3))
        yield "kinds and rates at random", [Fault(kind, rate=rate, seconds=0.001) for kind in kinds]
