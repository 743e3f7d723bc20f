"""Frequencies that sampling folds onto one another."""

from __future__ import annotations

import numpy as np
import pytest

from mkgan_core.imaging import kernels
from mkgan_core.imaging.aliases import aliasing, frequencies, response
from mkgan_core.imaging.reductions import usual


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_aliases_are_one_frequency_to_the_low_resolution_grid(scale: int) -> None:
    rows, columns = frequencies(scale)
    assert len(rows) == scale**2
    for part in (rows, columns):
        folded = scale * part - np.round(scale * part)
        assert np.allclose(folded, folded[:1])
        assert np.abs(part).max() < 0.5
    radius = np.hypot(rows, columns)
    assert (radius[0] <= radius.min(axis=0) + 1e-9).all()


@pytest.mark.parametrize("scale", [2, 4])
def test_a_response_is_the_fast_transform_of_the_centred_kernel(scale: int) -> None:
    """Of a kernel of even side, which is centred at a pixel's corner, by numpy."""
    kernel = kernels.gaussian(np.array([[3.0, 1.0], [1.0, 2.0]]) * scale / 2, 25, scale)
    found = response(kernel, *np.meshgrid(np.fft.fftfreq(25), np.fft.fftfreq(25), indexing="ij"), scale)
    assert np.allclose(np.abs(found), np.abs(np.fft.fft2(kernel)))
    assert np.abs(found.imag).max() < 0.02  # it is symmetric, but for what the edge cuts off


@pytest.mark.parametrize("scale", [2, 4])
def test_the_wider_the_kernel_the_fewer_aliases(scale: int) -> None:
    point = np.zeros((2 * scale + 1, 2 * scale + 1))
    point[scale, scale] = 1
    shares = [aliasing(kernels.gaussian(v * np.eye(2), 33, scale), scale) for v in (0.5, 1, 2, 8)]
    assert aliasing(point, scale) == pytest.approx(1)
    assert sorted(shares, reverse=True) == shares
    assert shares[-1] < 0.02
    assert aliasing(usual(scale)["sampled"], scale) > aliasing(usual(scale)["box"], scale)
