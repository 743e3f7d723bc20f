"""Segmenters against human segmentations (BSDS500): borders, overlap, regions, time.

.venv/bin/python -m tests.benchmarks.segmenters --bsds DATA/bsds20 [--segmenters edges,yolo] [--json FILE]
    with MKGAN_WEIGHTS=DATA/weights; segmenters without weights here are left out, and named
.venv/bin/python -m tests.benchmarks.segmenters --bsds DATA/bsds20 --random 1
    processor seconds of the networks that have no weights here, with random ones, on one image; nothing on quality

Boundary F: a border pixel counts as right when a human drew one within 0.0075 of the image's diagonal (BSDS's
tolerance); precision against all annotators together, recall as their mean. Nearest pixels, not BSDS's one-to-one
matching, so a little above what its own program would say. Overlap: for every human segment the best IoU with one of
our regions, averaged by area, then over annotators (segmentation covering, Arbelaez et al. 2011,
doi:10.1109/TPAMI.2010.161). Object IoU: the best IoU of our object with any human segment or its complement.
Precision and object IoU are means over the images that were split. Pieces: connected pieces of object and background,
before and after the region rules.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.ndimage import distance_transform_edt
from skimage.measure import label
from skimage.segmentation import find_boundaries

from mkgan_core.imaging import images
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.cores import computing, prepare_torch
from mkgan_core.pipeline import parts
from mkgan_core.segmenters.base import segment
from mkgan_core.segmenters.rules import from_masks
from tests.benchmarks import common

TOLERANCE = 0.0075
HEADINGS = (
    "segmenter", "boundary F", "precision", "recall", "overlap", "object IoU", "regions", "unsplit", "pieces",
    "processor s/image",
)  # fmt: skip
WITHOUT_MASKS = [name for name in parts.names("segmenter") if name not in ("given", "mask")]


def load(folder: Path, limit: int | None) -> list[tuple[str, np.ndarray, list[np.ndarray]]]:
    """(name, image, human label maps) of a folder in BSDS's layout."""
    found = []
    for file in sorted((folder / "images").glob("*.jpg"))[:limit]:
        truth = loadmat(folder / "groundTruth" / f"{file.stem}.mat")["groundTruth"][0]
        humans = [np.asarray(each["Segmentation"][0, 0], int) for each in truth]
        found.append((file.stem, images.decode(file.read_bytes(), file.name), humans))
    return found


def boundary_f(labels: np.ndarray, humans: list[np.ndarray]) -> tuple[float, float, float]:
    """F, precision and recall of the borders of a label map (H, W)."""
    reach = TOLERANCE * np.hypot(*labels.shape)
    ours = find_boundaries(labels, mode="inner")
    theirs = [find_boundaries(human, mode="inner") for human in humans]
    if not ours.any():
        return 0.0, 1.0, 0.0
    to_any = np.asarray(distance_transform_edt(~np.logical_or.reduce(theirs)))
    to_ours = np.asarray(distance_transform_edt(~ours))
    precision = float((to_any[ours] <= reach).mean())
    recall = float(np.mean([(to_ours[drawn] <= reach).mean() for drawn in theirs if drawn.any()]))
    return 2 * precision * recall / max(precision + recall, 1e-12), precision, recall


def covering(labels: np.ndarray, humans: list[np.ndarray]) -> float:
    """Area-weighted best IoU of human segments with our regions, mean over annotators."""
    ours = [labels == value for value in np.unique(labels)]
    scores = []
    for human in humans:
        segments = [human == value for value in np.unique(human)]
        scores.append(sum(s.mean() * max(iou(s, mask) for mask in ours) for s in segments))
    return float(np.mean(scores))


def object_iou(regions: list[Region], humans: list[np.ndarray]) -> float:
    """Best IoU of the object, all that is not background, with a human segment or its complement; nan without one."""
    if len(regions) == 1:
        return float("nan")
    target = np.logical_or.reduce([r.mask for r in regions if r.name != "background"])
    segments = [human == value for human in humans for value in np.unique(human)]
    return max(iou(target, s if side else ~s) for s in segments for side in (True, False) if (s if side else ~s).any())


def pieces(masks: list[np.ndarray]) -> int:
    """How many connected pieces masks have, at least one."""
    return max(1, sum(int(np.asarray(label(mask, connectivity=1)).max()) for mask in masks))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def measure(name: str, cases: list[tuple[str, np.ndarray, list[np.ndarray]]], preset: str) -> dict:
    """A segmenter on every image."""
    part = parts.build("segmenter", name, preset)
    segment(part, name, cases[0][1], {})  # imports and loads
    rows = []
    for image_name, image, humans in cases:
        start = time.process_time()
        masks = part.masks(image, {})
        found = from_masks(masks, image.shape[:2], part.rules)
        seconds = time.process_time() - start
        labels = np.sum([number * region.mask for number, region in enumerate(found)], axis=0)
        f, precision, recall = boundary_f(labels, humans)
        rows.append(
            {
                "image": image_name,
                "regions": len(found),
                "pieces_before": pieces([*masks.values(), ~np.any([*masks.values()], axis=0)]) if masks else 1,
                "pieces": pieces([region.mask for region in found]),
                "f": f,
                "precision": precision,
                "recall": recall,
                "covering": covering(labels, humans),
                "object_iou": object_iou(found, humans),
                "seconds": seconds,
            }
        )
    return {"segmenter": name, "images": rows}


def line(measured: dict, *, time_only: bool) -> str:
    """A row of the table."""
    rows = measured["images"]
    seconds = f"{np.median([row['seconds'] for row in rows]):.2f}"
    if time_only:
        return f"| {measured['segmenter']} | {seconds} |"
    split = [row for row in rows if row["regions"] > 1]

    def mean(of: list[dict], what: str, digits: int = 3) -> str:
        return f"{np.mean([row[what] for row in of]):.{digits}f}" if of else "–"

    cells = [mean(rows, "f"), mean(split, "precision"), mean(rows, "recall"), mean(rows, "covering")]
    cells += [mean(split, "object_iou"), mean(rows, "regions", 2), str(len(rows) - len(split))]
    cells += [f"{mean(rows, 'pieces_before', 1)} → {mean(rows, 'pieces', 1)}", seconds]
    return f"| {' | '.join([measured['segmenter'], *cells])} |"


def put_random_weights(folder: Path) -> None:
    """Networks of the published sizes with random weights, under names that no published file has."""
    import torch
    from segment_anything import sam_model_registry
    from torchvision.models import detection

    torch.manual_seed(0)
    for name in ("fasterrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn"):
        model = getattr(detection, name)(weights=None, weights_backbone=None)
        torch.save(model.state_dict(), folder / f"{name}_random.pth")
    torch.save(sam_model_registry["vit_b"]().state_dict(), folder / "sam_vit_b_random.pth")


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--bsds", type=Path, required=True)
    parser.add_argument("--segmenters", type=common.names, default=WITHOUT_MASKS)
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--random", type=int, help="time networks without weights on so many images")
    options = parser.parse_args()
    cases = load(options.bsds, options.random or options.limit)
    lacking = {name: parts.missing_requirement("segmenter", name) for name in options.segmenters}
    chosen = [name for name, fault in lacking.items() if fault is None]
    with tempfile.TemporaryDirectory() as folder:
        if options.random:
            chosen = [name for name in lacking if name not in chosen and name != "detectron2"]
            put_random_weights(Path(folder))
            os.environ["MKGAN_WEIGHTS"] = os.pathsep.join(filter(None, [os.environ.get("MKGAN_WEIGHTS"), folder]))
        headings = [HEADINGS[0], HEADINGS[-1]] if options.random else HEADINGS
        print(f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}")
        rows = []
        with computing():  # one core, as in a run
            prepare_torch()
            for name in chosen:
                rows.append(measure(name, cases, options.preset))
                print(line(rows[-1], time_only=bool(options.random)), flush=True)
    if not options.random:
        left_out = [name for name in lacking if name not in chosen]
        print("left out, no weights or package here:", ", ".join(left_out) or "none")
    common.save(options.json, "segmenters, random weights" if options.random else "segmenters", rows)


if __name__ == "__main__":
    main()
