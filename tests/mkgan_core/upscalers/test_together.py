"""Networks trained side by side, as on a GPU, against each trained alone; on the CPU, where both can be done.

In double precision: Adam's first steps have one length whatever the gradient's, so that rounding turns some of them.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from mkgan_core.imaging.kernels import Kernel
from mkgan_core.upscalers.zssr import settings as zssr
from mkgan_core.upscalers.zssr import together
from mkgan_core.upscalers.zssr.lesson import Lesson, Pair
from mkgan_core.upscalers.zssr.low_resolution import LowResolution
from tests import pictures

STEPS = 60  # more than the gradients whose lengths are remembered


@pytest.fixture(scope="module")
def trained() -> tuple[list[Lesson], list[torch.Tensor]]:
    """Three lessons of images of different sizes, and the weights that each trained alone comes to."""
    lessons, alone = [], []

    class Alone(LowResolution):
        def _train(self, lesson: Lesson, number: int, watch: object) -> None:
            pairs = [
                Pair(pair.father.double(), pair.son.double(), pair.corners, pair.plain_error) for pair in lesson.pairs
            ]
            lesson = replace(lesson, network=copy.deepcopy(lesson.network).double(), pairs=pairs)
            lessons.append(copy.deepcopy(lesson))
            super()._train(lesson, number, None)
            alone.append(_weights(lesson))

    for seed, shape in enumerate(((96, 80), (64, 120), (70, 64))):
        image = pictures.shapes(128, seed)[: shape[0], : shape[1]].astype(np.float32)
        Alone(
            image,
            np.ones(shape, bool),
            Kernel(_blur()),
            2,
            replace(zssr.FAST, iterations=STEPS, variation=0),
            seed,
            "cpu",
        )
    return lessons, alone


def _blur() -> np.ndarray:
    taps = np.exp(-0.5 * (np.arange(9) - 4.5) ** 2 / 1.5)
    return np.outer(taps, taps) / taps.sum() ** 2


def _weights(lesson: Lesson) -> torch.Tensor:
    return torch.cat([weight.detach().reshape(-1) for weight in lesson.network.parameters()])


def _apart(lesson: Lesson, expected: torch.Tensor) -> float:
    return float((_weights(lesson) - expected).norm())


def test_together_is_each_alone(trained: tuple[list[Lesson], list[torch.Tensor]]) -> None:
    lessons, alone = trained
    ours = copy.deepcopy(lessons)
    together.train(ours, "cpu")
    for lesson, expected, before in zip(ours, alone, lessons, strict=True):
        assert _apart(lesson, expected) < 1e-6 * _apart(before, expected)


def test_lessons_of_an_image_come_back_trained(trained: tuple[list[Lesson], list[torch.Tensor]]) -> None:
    """One image's networks, by the way a GPU takes."""
    lessons, alone = trained
    image = tuple(copy.deepcopy(lessons[:2]))
    done = together.taught(image, "cpu")
    for lesson, expected in zip(done, alone[:2], strict=True):
        assert _apart(lesson, expected) < 1e-6 * float(expected.norm())
