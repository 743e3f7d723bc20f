"""Corrects a kernel by what the restored image leaves unexplained (method.md §6): `asymmetry` and camera shake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from scipy.linalg import orth
from scipy.ndimage import distance_transform_edt

from mkgan_core.imaging import kernels
from mkgan_core.imaging.degradation import degrade_tensor
from mkgan_core.imaging.total_variation import ROUNDING, STRENGTH, Restoration, equaliser

SETTLING = 2  # the image's own rounds after each estimate of the kernel
NOISE = 2 * ROUNDING  # of the observed image; with the rounding's alone, the image adapts to a wrong kernel
# From a kernel (K, K) and changes (N, K, K) to A (N, N) and b (N,): near the kernel, the negative logarithm of the
# likelihood is w^T A w / 2 - b^T w + constant, for changes with the weights w
Evidence: TypeAlias = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]

INSET, TAPER = 8, 6  # low-resolution pixels at a region's border: left out, and then weighted by a cosine


def corrections(
    kernel: np.ndarray,
    changes: np.ndarray,
    low: torch.Tensor,
    inside: np.ndarray,
    scale: int,
    *,
    rounds: int,
    evidence: float,
    other: Evidence | None = None,
) -> Iterator[np.ndarray]:
    """Add to a kernel the most likely sum of some changes; its sum and its centre stay.

    Alternates between the image with the fewest gradients (`Restoration`) and the most likely kernel. In each round the
    observed image is linear in the changes' weights, which are normal with deviation 1. The residual's expected power
    at each frequency weights the least squares.

    Args:
        kernel: (K, K), the first estimate, centred by the convention.
        changes: (N, K, K), each as large as it is expected to be.
        low: (1, 1, H, W), the observed luma, in [0, 1].
        inside: (H, W), the weight of each pixel, 0 to 1; see `tapered`.
        scale: s.
        rounds: estimates of the kernel; too many exaggerate the changes, because the image adapts to the kernel.
        evidence: weight of a pixel. It is far below 1, because neighbours have similar errors, and the restored image
            is only the most likely one.
        other: what else is known of the kernel, such as the spectrum.

    Yields:
        After each round (K, K), not negative, sum 1; the last one is the best.
    """
    allowed, weight = _allowed(changes), torch.as_tensor(inside, dtype=low.dtype)
    high = F.interpolate(low, scale_factor=scale, mode="bicubic", align_corners=False)
    found, weights, restoration = kernel, np.zeros(len(changes)), Restoration(kernel, scale, low, NOISE)
    high = restoration.with_data(high)
    for _ in range(rounds):
        for _ in range(SETTLING):
            high = restoration.with_data(restoration.with_prior(high, STRENGTH))
        expected = restoration.with_prior(high, STRENGTH)
        residual = (low - degrade_tensor(expected, kernel, scale))[0, 0]
        matrix, right = _equations(changes, expected, residual, weight, found, scale)
        matrix, right = evidence * matrix, evidence * right
        if other is not None:
            also, towards = other(found, changes)
            matrix, right = matrix + also, right + towards + also @ weights
        # the weights are normal with deviation 1, and those that would move the centre are 0
        weights = allowed @ np.linalg.solve(allowed @ matrix @ allowed + np.eye(len(changes)), allowed @ right)
        found = kernels.balanced(np.maximum(kernel + np.tensordot(weights, changes, 1), 0), scale)
        yield found
        restoration = Restoration(found, scale, low, NOISE)
        high = restoration.with_data(expected)


def tapered(mask: np.ndarray) -> np.ndarray:
    """Weights (H, W) in [0, 1] that fall smoothly to 0 before the region's border, where another blur affects it.

    With a hard mask, the residual's low frequencies would leak into the high ones, which count most.
    """
    if mask.all():
        return mask
    distance = np.asarray(distance_transform_edt(mask))
    return (1 - np.cos(np.pi * np.clip((distance - INSET) / TAPER, 0, 1))) / 2


def _allowed(changes: np.ndarray) -> np.ndarray:
    """A projection (N, N) of the changes' weights onto those that keep the kernel's sum and centre."""
    taps = np.arange(changes.shape[1])
    moments = np.stack([changes.sum(axis=(1, 2)), changes.sum(axis=2) @ taps, changes.sum(axis=1) @ taps], axis=1)
    fixed = orth(moments)
    return np.eye(len(changes)) - fixed @ fixed.T


def _equations(
    changes: np.ndarray,
    expected: torch.Tensor,
    residual: torch.Tensor,
    inside: torch.Tensor,
    kernel: np.ndarray,
    scale: int,
) -> tuple[np.ndarray, np.ndarray]:
    """As `Evidence`, for the residual (H, W) weighted by ``inside`` (H, W), and around weights 0."""
    size = residual.shape
    ends = torch.full((size[1] // 2 + 1,), 2.0)  # the half plane's columns stand for two, except the outer ones
    ends[0] = 1
    if size[1] % 2 == 0:
        ends[-1] = 1
    weight = (equaliser(kernel, scale, size, NOISE).clamp(min=0) * ends / residual.numel()).sqrt()
    margin = len(kernel) // 2
    wide = F.pad(expected, (margin,) * 4, mode="reflect")[0, 0]
    spectra = []
    for change in changes:
        seen = sum(
            float(change[row, column]) * wide[row::scale, column::scale][: size[0], : size[1]]
            for row, column in np.argwhere(change)
        )
        spectra.append((torch.fft.rfft2(seen * inside) * weight).flatten())
    rows, goal = torch.stack(spectra), (torch.fft.rfft2(residual * inside) * weight).flatten()
    return (rows @ rows.conj().T).real.double().numpy(), (rows @ goal.conj()).real.double().numpy()
