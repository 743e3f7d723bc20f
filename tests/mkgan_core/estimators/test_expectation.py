"""The expected error against enlarging random images."""

from __future__ import annotations

import numpy as np
import pytest

from mkgan_core.estimators.spectral.expectation import ROUNDS, ExpectedError
from mkgan_core.imaging import images
from mkgan_core.imaging.aliases import SLOPE
from mkgan_core.imaging.degradation import degrade_tensor
from mkgan_core.imaging.reductions import usual
from mkgan_core.upscalers.back_projection import back_project
from mkgan_core.upscalers.interpolation import enlarge
from tests.pictures import power_law

NAMES = list(usual(2))


def certain(*names: str) -> np.ndarray:
    return np.isin(NAMES, names) / len(names)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("used", [("box",), ("lanczos",), ("sampled",), ("box", "triangle")])
def test_it_is_the_error_of_back_projection(scale: int, used: tuple[str, ...]) -> None:
    candidates = np.stack(list(usual(scale).values()))
    expected = ExpectedError(candidates, scale).relative(certain(*used))
    high = images.to_tensor(power_law((96 * scale, 96 * scale), SLOPE, 1))
    kernel = np.tensordot(certain(*used), candidates, axes=1)

    def error(enlarged: object) -> float:
        inner = slice(8 * scale, -8 * scale)
        return float((enlarged - high)[..., inner, inner].square().mean())  # type: ignore[operator]

    for true, share in zip(candidates, expected, strict=True):
        low = degrade_tensor(high, true, scale)
        plain = enlarge(low, scale)
        assert error(back_project(plain, low, kernel, scale, ROUNDS)) / error(plain) == pytest.approx(share, rel=0.15)


def test_the_best_mean_is_no_worse_than_any_candidate() -> None:
    expected = ExpectedError(np.stack(list(usual(2).values())), 2)
    for chances in np.random.default_rng(0).dirichlet(np.full(len(NAMES), 0.5), 8):
        weights = expected.best(chances)
        assert weights.sum() == pytest.approx(1)
        assert weights.min() >= 0
        cost = chances @ expected.relative(weights)
        assert all(cost <= chances @ expected.relative(other) + 1e-9 for other in (chances, *np.eye(len(NAMES))))


def test_a_doubt_that_would_cost_much_is_heeded() -> None:
    """A triangle is the worst guess where the cubic was not stretched: half a chance of that, and it is avoided."""
    expected = ExpectedError(np.stack(list(usual(2).values())), 2)
    assert expected.best(certain("triangle"))[NAMES.index("triangle")] > 0.9
    doubtful = certain("triangle", "sampled")
    weights, cautious = (expected.best(doubtful, caution) for caution in (0, 2))
    assert weights[NAMES.index("sampled")] > weights[NAMES.index("triangle")]
    assert expected.relative(cautious).max() < expected.relative(weights).max()
