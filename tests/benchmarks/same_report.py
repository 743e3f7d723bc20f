"""Whether two reports hold the same figures, to the last bit: of the same run before and after a change.

python -m tests.benchmarks.same_report REPORT REPORT       URIs of two report.parquet
Compares the tables on the images, methods and seeds that both have; what names the run, its time and the code's commit
is left out. ``--computed`` leaves out seconds, memory and addresses too, for runs that were both computed, each in a
store of its own.
"""

from __future__ import annotations

import argparse
import sys

import pandas as pd

from mkgan_core.reports.runs import open_run

RUN = ("run_id", "created_at", "git_sha")
SECONDS = ("seconds_segment", "seconds_kernel", "seconds_upscale", "seconds_total")
MACHINE = (*SECONDS, "peak_memory_mb", "threads")
ADDRESSES = ("output_uri", "kernel_uri", "mask_uri")
PLACE = {
    "report": ["image", "scale", "method", "seed"],
    "regions": ["image", "scale", "method", "seed", "region"],
    "images": ["image", "scale"],
}


def differing(first: pd.DataFrame, second: pd.DataFrame, place: list[str], left_out: tuple[str, ...]) -> list[str]:
    """The columns in which rows of the same place differ."""
    a, b = (
        table.drop(columns=list(left_out), errors="ignore").set_index(place).sort_index() for table in (first, second)
    )
    common = a.index.intersection(b.index)
    return [name for name in a if not a.loc[common, name].equals(b.loc[common, name])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("--computed", action="store_true")
    options = parser.parse_args()
    runs = [open_run(uri, "memory://unused") for uri in (options.first, options.second)]
    left_out = RUN + (MACHINE + ADDRESSES if options.computed else ())
    same = True
    for name, attribute in (("report", "rows"), ("regions", "regions"), ("images", "images")):
        tables = [getattr(run, attribute) for run in runs]
        found = differing(*tables, PLACE[name], left_out)
        same &= not found
        print(
            f"{name}: {len(tables[0])} and {len(tables[1])} rows, {', '.join(found) if found else 'no column'} differs"
        )
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
