"""What a spectrum says about a given kernel, and about changes of it."""

from __future__ import annotations

import numpy as np
import pytest

from mkgan_core.datasets.layout import ImageSpec, load_high
from mkgan_core.estimators.spectral.explanation import Explanation
from mkgan_core.estimators.spectral.settings import SpectralSettings
from mkgan_core.estimators.spectral.spectrum import measure
from mkgan_core.imaging import kernels
from mkgan_core.imaging.degradation import degrade
from mkgan_core.imaging.regions import whole
from tests.pictures import hook, rounded


@pytest.fixture
def explanation(coffee: ImageSpec) -> Explanation:
    settings = SpectralSettings()
    low = rounded(degrade(load_high(coffee), hook(), 2))
    return Explanation(measure(low, whole(low.shape[:2]), settings), 2, settings)


def test_the_equations_are_the_derivatives_of_the_misfit(explanation: Explanation) -> None:
    rng = np.random.default_rng(0)
    kernel = kernels.centre(hook() + 0.2 * kernels.gaussian(4 * np.eye(2), len(hook()), 2), 2)
    changes = rng.standard_normal((6, *kernel.shape)) * kernel
    matrix, right = explanation.equations(kernel, changes, 3.0)
    assert np.allclose(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix).min() > -1e-6 * np.linalg.eigvalsh(matrix).max()
    for direction in np.eye(6):
        step = 1e-4 * np.tensordot(direction, changes, 1)
        slope = (explanation.misfit(kernel + step) - explanation.misfit(kernel - step)) / 2e-4
        assert -3 * slope == pytest.approx(right @ direction, rel=0.03, abs=0.03 * np.abs(right).max())


def test_a_step_that_they_advise_lowers_the_misfit(explanation: Explanation) -> None:
    wide = kernels.gaussian(6 * np.eye(2), len(hook()), 2)
    rows, columns = np.nonzero(wide > 0.02 * wide.max())
    changes = np.zeros((len(rows), *wide.shape))
    changes[np.arange(len(rows)), rows, columns] = 0.3 * wide[rows, columns]
    matrix, right = explanation.equations(wide, changes, 1.0)
    weights = np.linalg.solve(matrix + np.eye(len(rows)), right)
    changed = np.maximum(wide + np.tensordot(weights, changes, 1), 0)
    assert explanation.misfit(changed) < explanation.misfit(wide)
