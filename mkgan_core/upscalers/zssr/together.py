"""Trains networks of our layout for many images in one batch on a GPU, each as if it were alone (method.md §3).

A single network leaves a GPU mostly idle: 64 networks take only six times as long (BENCHMARKS.md, GPU). Weights,
gradients and Adam's moments have a leading dimension for the networks, and no operation mixes two networks. A step is
recorded once and then replayed (`replay`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mkgan_core.imaging.cutting import Cutter, laid_out
from mkgan_core.machine import replay
from mkgan_core.machine.batching import Batcher
from mkgan_core.machine.cores import computing, idle
from mkgan_core.machine.progress import counted
from mkgan_core.upscalers.zssr.lesson import Lesson
from mkgan_core.upscalers.zssr.network import LEAK
from mkgan_core.upscalers.zssr.optimiser import LONGEST, REMEMBERED, one_cycle
from mkgan_core.upscalers.zssr.settings import ZssrSettings

BATCH_LIMIT, BATCH_WAIT_S = 256, 0.2
CHUNK = 50  # steps queued on the GPU before the host waits, so that the progress is real and a stop takes effect soon
SECOND, EPSILON = 0.999, 1e-8  # Adam's second beta and epsilon


def taught(lessons: tuple[Lesson, ...], device: str) -> Sequence[Lesson]:
    """Train the networks of one image, in one batch with those of other threads.

    While it waits, the calling thread releases its core.

    Args:
        lessons: of one image, all with the same settings; their networks change in place.
        device: torch device.

    Returns:
        The same lessons.

    Raises:
        Stopped: between two steps, if the run is being stopped.
    """
    with idle():
        return _batcher(lessons[0].settings, device)(lessons)


@cache
def _batcher(settings: ZssrSettings, device: str) -> Batcher[tuple[Lesson, ...], tuple[Lesson, ...]]:
    def solve(batch: Sequence[tuple[Lesson, ...]]) -> Sequence[tuple[Lesson, ...]]:
        alike = defaultdict(list)
        for lesson in chain.from_iterable(batch):
            alike[lesson.crop, lesson.scale].append(lesson)
        with computing():
            for lessons in alike.values():
                train(lessons, device)
        return batch

    return Batcher(solve, max(1, BATCH_LIMIT // settings.networks), BATCH_WAIT_S)


def train(lessons: Sequence[Lesson], device: str) -> None:
    """Train the networks of lessons that have the same settings, crop and scale; the weights change in place."""
    steps = lessons[0].settings.iterations
    with replay.own_stream(device):
        training = Training(lessons, device)
        step = replay.Replayed(training.step, device)
        for number in counted(steps):
            if number % CHUNK == 0:
                replay.wait(device)
            step()
        weights = training.values.detach().cpu()
    for lesson, values in zip(lessons, weights, strict=True):
        nn.utils.vector_to_parameters(values.to(device), lesson.network.parameters())


class Training:
    """R networks and their training data. A step depends only on tensors, so that a GPU can record it.

    Attributes:
        values: (R, P), the P weights of each network.
    """

    def __init__(self, lessons: Sequence[Lesson], device: str) -> None:
        first = lessons[0]
        self._networks, self._scale = len(lessons), first.scale
        weights = [layer.weight for layer in first.network if isinstance(layer, nn.Conv2d)]
        self._shapes = [weight.shape for weight in weights]
        vectors = [nn.utils.parameters_to_vector(_contiguous(lesson.network)) for lesson in lessons]
        self.values = torch.stack(vectors).detach().to(device).requires_grad_()
        self._mean, self._square = torch.zeros_like(self.values), torch.zeros_like(self.values)
        self._norms = self.values.new_full((len(lessons), REMEMBERED), torch.inf)
        self._taken = torch.zeros(1, dtype=torch.long, device=device)
        self._schedule = _schedule(first.settings).to(self.values)

        pairs = [pair for lesson in lessons for pair in lesson.pairs]
        self._fathers, self._sons = laid_out([p.father for p in pairs]), laid_out([p.son for p in pairs])
        each = len(first.pairs)
        which = np.concatenate([lesson.turns + each * number for number, lesson in enumerate(lessons)], axis=1)
        corners = np.concatenate([_corners(lesson) for lesson in lessons], axis=1)
        shapes = [(pair.father.shape[2], pair.father.shape[3]) for pair in pairs]
        self._cutter = Cutter(shapes, which, corners, first.crop, device)

    def step(self) -> None:
        """Do one step of all networks."""
        places = self._cutter.places(self._taken)
        fathers, sons = (
            pictures.take(places).unflatten(0, (self._networks, -1)) for pictures in (self._fathers, self._sons)
        )
        with torch.enable_grad():
            change = F.pixel_shuffle(self._applied(F.pixel_unshuffle(sons, self._scale)), self._scale)
            losses = (sons + change - fathers).square().mean(dim=(1, 2, 3, 4))
            (gradient,) = torch.autograd.grad(losses.sum(), self.values)
        with torch.no_grad():
            self._change(self._cut(gradient))
        self._taken += 1

    def _applied(self, x: torch.Tensor) -> torch.Tensor:
        """Apply each network to its N inputs x, (R, N, 3 s², h, w), by grouped convolutions; same shape."""
        networks = len(x)
        x = x.transpose(0, 1).flatten(1, 2)  # (N, R 3 s², h, w)
        parts = self.values.split([shape.numel() for shape in self._shapes], dim=1)
        for number, (part, shape) in enumerate(zip(parts, self._shapes, strict=True)):
            x = F.conv2d(x, part.unflatten(1, shape).flatten(0, 1), padding=1, groups=networks)
            if number < len(parts) - 1:
                x = F.leaky_relu(x, LEAK)
        return x.unflatten(1, (networks, -1)).transpose(0, 1)

    def _cut(self, gradient: torch.Tensor) -> torch.Tensor:
        """Clip each network's gradient (R, P) to its usual norm, as `Optimiser` does."""
        norms = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        known = self._taken.clamp(max=REMEMBERED)
        ordered = self._norms.sort(dim=1).values  # steps not done yet have infinite norms, which come last
        middle = torch.cat([(known - 1).clamp(min=0) // 2, known // 2]).clamp(max=REMEMBERED - 1)
        longest = LONGEST * ordered.index_select(1, middle).mean(dim=1, keepdim=True)
        self._norms.index_copy_(1, self._taken % REMEMBERED, norms)
        return gradient * torch.where(norms > longest, longest / norms, 1)

    def _change(self, gradient: torch.Tensor) -> None:
        """Do Adam's step. Torch's own accepts beta only as a number, which a recorded step could not change."""
        fresh, rate, spread = self._schedule.index_select(0, self._taken)[0]
        self._mean.lerp_(gradient, fresh)
        self._square.mul_(SECOND).addcmul_(gradient, gradient, value=1 - SECOND)
        self.values -= rate * self._mean / (self._square.sqrt() / spread + EPSILON)


def _contiguous(network: nn.Sequential) -> list[torch.Tensor]:
    return [parameter.detach().contiguous() for parameter in network.parameters()]


def _corners(lesson: Lesson) -> np.ndarray:
    """Top and left of each step's crops, (steps, crops, 2)."""
    steps, crops = lesson.turns.shape
    corners = np.stack([pair.corners for pair in lesson.pairs])  # (pairs, steps x crops, 2)
    draws = np.arange(steps * crops).reshape(steps, crops)
    return corners[lesson.turns, draws]


def _schedule(settings: ZssrSettings) -> torch.Tensor:
    """For each step, (steps, 3): 1 - Adam's first beta, the bias-corrected rate, and the second moment's correction."""
    rows = []
    for number, (rate, beta) in enumerate(one_cycle(settings.learning_rate, settings.iterations), start=1):
        rows.append((1 - beta, rate / (1 - beta**number), (1 - SECOND**number) ** 0.5))
    return torch.tensor(rows, dtype=torch.float64)
