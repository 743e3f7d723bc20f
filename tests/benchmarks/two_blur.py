"""Data sets with two blurs an image: what regions gain over one kernel for the whole image, luma PSNR in dB.

.venv/bin/python -m tests.benchmarks.two_blur DATASET [DATASET ...] [--methods auto+zssr,given/auto+zssr] [--store DIR]
    [--every 1] [--from 0] [--scale 2] [--json FILE]
DATASET is ``sample-two-blur`` or a folder (`mkgan dataset make ... --kind two-blur`). Gains are over the first method.
What is in the store is not computed again. ``back-projection`` in place of ``zssr`` takes seconds an image.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

from mkgan_core.datasets.layout import Dataset
from mkgan_core.datasets.sample import NAMES, open_sample
from mkgan_core.machine.storage import Store
from mkgan_core.pipeline import walk
from mkgan_core.pipeline.method import parse
from tests.benchmarks import common

METHODS = ["auto+zssr", "given/auto+zssr", "yolo-seg/auto+zssr", "given/ground-truth+zssr"]


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--methods", type=common.names, default=METHODS)
    parser.add_argument("--store", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--from", type=int, default=0, dest="first")
    parser.add_argument("--scale", type=int, default=2)
    options = parser.parse_args()
    methods = [parse(name) for name in options.methods]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        store = Store(str(options.store or scratch))
        shared: walk.Common = {"store": store.uri, "preset": "fast", "device": "cpu"}
        for name in options.datasets:
            data = open_sample(name, store) if name in NAMES else Dataset(name)
            for spec in data.plan(options.scale)[options.first :: options.every]:
                for method in methods:
                    result = walk.run(walk.enlarge(spec, method, 0, shared), strict=True)
                    assert result.composed is not None
                    kernels = result.composed["kernel_psnr"]
                    row = {"data": data.name, "image": spec.image, "method": method.name, "kernels": kernels}
                    rows.append(row | {"psnr_y": result.composed.get("psnr_y")})
                _print([row for row in rows if (row["data"], row["image"]) == (data.name, spec.image)])
            for number in range(1, len(methods)):
                ours, plain = ([r for r in rows if r["data"] == data.name][k :: len(methods)] for k in (number, 0))
                gains = [a["psnr_y"] - b["psnr_y"] for a, b in zip(ours, plain, strict=True)]
                which = f"{data.name} {methods[number].name} over {methods[0].name}"
                print(f"{which}: mean {fmean(gains):+.2f}, worst {min(gains):+.2f} of {len(gains)}", flush=True)
    common.save(options.json, "two_blur", rows)


def _print(rows: list[dict[str, Any]]) -> None:
    """One line for an image: what each method gains, and how good its regions' kernels are."""
    plain = rows[0]["psnr_y"]
    cells = [
        f"{row['method']} {row['psnr_y'] - plain:+.2f} ({' '.join(f'{psnr:.1f}' for psnr in row['kernels'] if psnr)})"
        for row in rows[1:]
    ]
    print(f"{rows[0]['data']} {rows[0]['image']}: {plain:.2f} dB, {', '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
