"""How long a person waits for one photograph, by the clock: `mkgan upscale`, quiet and beside busy neighbours.

Each size is enlarged with all cores and with one (OMP_NUM_THREADS=1), in turn, on a quiet machine and beside one and
two loops that never rest; start and end of the command included. What counts is how much longer than the quicker of the
two the default takes.

    python -m tests.benchmarks.photo_times --repeat 3
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from skimage import data

from tests.benchmarks import common

SIZES = {"96x96": (96, 96), "450x300": (450, 300), "1020x678": (1020, 678)}


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that use a core each."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def seconds(photo: Path, cores: int | None) -> float:
    """What the command takes."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if cores:
        environment["OMP_NUM_THREADS"] = str(cores)
    command = [
        Path(sys.executable).parent / "mkgan",
        "upscale",
        photo,
        "--out",
        photo.parent / "out",
        "--overwrite",
        "-q",
    ]
    start = time.perf_counter()
    subprocess.run(command, check=True, env=environment)
    return time.perf_counter() - start


def main() -> None:
    """Run it."""
    parser = common.parser(__doc__)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--sizes", type=common.names, default=list(SIZES))
    parser.add_argument("--neighbours", type=common.numbers, default=[0, 1, 2])
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.sizes:
            photo = Path(folder) / f"{name}.png"
            width, height = SIZES[name]
            Image.fromarray(data.astronaut()).resize((1200, 1200)).crop((90, 60, 90 + width, 60 + height)).save(photo)
            for count in arguments.neighbours:
                with neighbours(count):
                    taken = [(seconds(photo, None), seconds(photo, 1)) for _ in range(arguments.repeat)]
                default, one = (statistics.median(each) for each in zip(*taken, strict=True))
                rows.append({"size": name, "neighbours": count, "default_s": default, "one_core_s": one})
                print(
                    f"{name:>9} beside {count} busy: default {default:5.1f} s, one core {one:5.1f} s, "
                    f"default against the quicker {default / min(default, one):.2f}  {[round(a, 1) for a, _ in taken]}",
                    flush=True,
                )
    common.save(arguments.json, "photo_times", rows)


if __name__ == "__main__":
    main()
