"""The alternation behind the estimator of Michaeli & Irani (2013, section 4)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from mkgan_core.errors import KernelError
from mkgan_core.estimators.michaeli_irani.settings import MichaeliIraniSettings
from mkgan_core.imaging.crops import draw_crops, gradient_map, seed_of
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.regions import Region
from mkgan_core.machine.progress import counted

SCALE = 2
CHUNK = 500  # number of queries that are compared with all candidates at a time


def estimate(image: Image, region: Region, settings: MichaeliIraniSettings, seed: int, device: str) -> np.ndarray:
    """Estimate the x2 kernel of a region.

    Args:
        image: (H, W, 3) in [0, 1], low resolution.
        region: of the image.
        settings: see `MichaeliIraniSettings`.
        seed: of the choice of patches.
        device: torch device.

    Returns:
        (size, size), float64, not negative, sum 1, not yet centred; NaN if no patches match.

    Raises:
        KernelError: if the region contains too few patches.
    """
    size, patch, mask = settings.size, settings.patch, region.mask
    rng = np.random.default_rng([seed, seed_of(image), seed_of(mask)])
    structure = gradient_map(image)
    corners = draw_crops(structure, mask, patch, settings.queries, rng, step=1)
    picture = torch.from_numpy(image @ np.array([0.299, 0.587, 0.114], np.float32)).to(device)
    queries = _without_mean(torch.stack([picture[y : y + patch, x : x + patch].reshape(-1) for y, x in corners]))

    # every pixel of the downscaled image is the inner product of the kernel and a window of the image
    padded = F.pad(picture[None, None], (size // 2,) * 4, mode="reflect")
    windows = padded[0, 0].unfold(0, size, SCALE).unfold(1, size, SCALE)  # (h, w, size, size)
    places = _candidates(structure, mask, windows.shape[:2], settings).to(device)
    if len(places) <= settings.neighbours:
        raise KernelError(
            f"{region.subject} has too few patches to compare "
            f"({len(places)}, more than {settings.neighbours} are needed)",
            "use bicubic, or a larger region",
        )

    kernel = torch.zeros(size, size, device=device)
    kernel[size // 2 : size // 2 + 2, size // 2 : size // 2 + 2] = 0.25  # a point at the centre of the convention
    for _ in counted(settings.rounds):
        small = torch.einsum("ijuv,uv->ij", windows, kernel)
        patches = small.unfold(0, patch, 1).unfold(1, patch, 1)
        candidates = _without_mean(patches[places[:, 0], places[:, 1]].reshape(len(places), -1))
        distances, chosen = _nearest(queries, candidates, settings.neighbours)
        weights = torch.softmax(-distances / (2 * distances.median().clamp(min=1e-12)), dim=1)
        kernel = _solve(queries, places[chosen], weights, windows, settings)
    return kernel.double().cpu().numpy()


def _without_mean(patches: torch.Tensor) -> torch.Tensor:
    return patches - patches.mean(dim=1, keepdim=True)


def _candidates(
    structure: np.ndarray, mask: np.ndarray, shape: torch.Size, settings: MichaeliIraniSettings
) -> torch.Tensor:
    """Corners (N, 2), in the downscaled image, of the region's patches with the largest gradients."""
    height, width = (side - settings.patch + 1 for side in shape)
    middle = slice(settings.patch, None, SCALE)  # a patch covers twice its side in the image
    strength = np.where(mask, structure, -1)[middle, middle][:height, :width]
    best = np.argsort(-strength, axis=None, kind="stable")[: settings.candidates]
    best = best[strength.ravel()[best] >= 0]
    return torch.from_numpy(np.stack(np.unravel_index(best, strength.shape), axis=1))


def _nearest(queries: torch.Tensor, candidates: torch.Tensor, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared distances (N, count) and indices (N, count) of the nearest candidates, by comparing every pair."""
    squares = candidates.square().sum(dim=1)
    found = []
    for part in queries.split(CHUNK):
        distances = torch.addmm(squares, part, candidates.T, alpha=-2)
        found.append(distances.topk(count, dim=1, largest=False))
    distances, chosen = (torch.cat(parts) for parts in zip(*found, strict=True))
    return (distances + queries.square().sum(dim=1, keepdim=True)).clamp(min=0), chosen


def _solve(
    queries: torch.Tensor,
    places: torch.Tensor,
    weights: torch.Tensor,
    windows: torch.Tensor,
    settings: MichaeliIraniSettings,
) -> torch.Tensor:
    """Solve query = parent windows x kernel by weighted, smoothed least squares; then clip at 0 and normalise."""
    size, patch = settings.size, settings.patch
    system = queries.new_zeros(size**2, size**2)
    right = queries.new_zeros(size**2)
    across = torch.arange(patch, device=queries.device)
    offsets = torch.cartesian_prod(across, across)  # in the order of a flattened patch
    for first in range(0, len(queries), CHUNK):
        part = slice(first, first + CHUNK)
        pixels = places[part].unsqueeze(2) + offsets  # (n, neighbours, 25, 2)
        rows = windows[pixels[..., 0], pixels[..., 1]].reshape(*pixels.shape[:3], -1)
        rows = rows - rows.mean(dim=2, keepdim=True)
        root = weights[part].sqrt()[:, :, None, None]
        flat = (rows * root).reshape(-1, size**2)
        system += flat.T @ flat
        right += flat.T @ (queries[part][:, None, :, None] * root).expand(-1, rows.shape[1], -1, -1).reshape(-1)
    identity = torch.eye(size, device=queries.device)
    difference = torch.diff(identity, dim=0)
    squared = difference.T @ difference
    smooth = torch.kron(squared, identity) + torch.kron(identity, squared)
    system += settings.smoothness * system.diagonal().mean() * smooth
    kernel = torch.linalg.solve(system.double(), right.double()).clamp(min=0).reshape(size, size)
    return (kernel / kernel.sum()).to(queries)
