"""ZSSR's networks and trainings: the published layout, and ours at low resolution (METHOD §3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise, product
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mkgan_core import images
from mkgan_core.capture import Capture, examine
from mkgan_core.crops import draw_crops, gradient_map, seed_of
from mkgan_core.degradation import degrade_tensor
from mkgan_core.estimators import KernelEstimate
from mkgan_core.images import Image
from mkgan_core.upscalers.back_projection import back_project
from mkgan_core.upscalers.interpolation import enlarge
from mkgan_core.upscalers.zssr import ZssrSettings

# The published learning-rate policy: test every 50 iterations, decide every 60, look back 256, drop by 10.
TEST_EVERY, POLICY_EVERY, LOOK_BACK = 50, 60, 256
SLOPE_RATIO, LAST_RATE = 1.5, 9e-6
STRIP = 128  # low-resolution rows that the trained network sees at a time
FATHER = 384  # side of the windows that our layout trains on
LEAK = 0.1  # of the ReLU in our layout: without any, a third of the channels die, and in one training of 16 the last
# Gradients longer than so many times the median of this many before them are cut (AutoClip: Seetharaman et al. 2020).
LONGEST, REMEMBERED = 2.0, 50


Watch = Callable[[int, Callable[[], torch.Tensor]], None]
"""Called after every step with the number of steps and a function that gives the enlargement as it stands."""


def run_published(
    image: Image,
    estimate: KernelEstimate,
    scale: int,
    settings: ZssrSettings,
    seed: int,
    device: str,
    watch: Watch | None = None,
) -> torch.Tensor:
    """The enlarged image (1, 3, s H, s W) by the published layout; at x4 through x2 when its kernel is known."""
    rng = np.random.default_rng([seed, seed_of(image)])
    low = images.to_tensor(image, device)
    fathers = [low]
    if scale == 4 and estimate.half is not None:
        fathers.append(_published_stage(low, fathers, estimate.half, 2, settings, rng))
    return _published_stage(low, fathers, estimate.kernel, scale, settings, rng, watch)


def _published_stage(
    low: torch.Tensor,
    fathers: list[torch.Tensor],
    kernel: np.ndarray,
    scale: int,
    settings: ZssrSettings,
    rng: np.random.Generator,
    watch: Watch | None = None,
) -> torch.Tensor:
    network = _network(3, settings, rng, last_gain=1.0).to(low.device)
    optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
    weights = [_loss_weights(father) for father in fathers]
    noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
    height, width = (side // scale * scale for side in low.shape[2:])
    trial, trial_son = low[..., :height, :width], degrade_tensor(low[..., :height, :width], kernel, scale)
    tests: list[tuple[int, float]] = []
    last_drop = 0

    def enlarged(picture: torch.Tensor) -> torch.Tensor:
        coarse = enlarge(picture, scale)
        return coarse + network(coarse)

    @torch.no_grad()
    def finish() -> torch.Tensor:
        high = _ensemble(enlarged, low) if settings.ensemble else enlarged(low)
        return back_project(high.clamp(0, 1), low, kernel, scale, settings.closing_rounds).clamp(0, 1)

    for iteration in range(settings.iterations):
        which = int(rng.integers(len(fathers)))
        top, left, size = _random_crop(fathers[which], settings.crop, scale, rng)
        father = fathers[which][..., top : top + size[0], left : left + size[1]]
        weight = weights[which][..., top : top + size[0], left : left + size[1]]
        if settings.turned:
            turns, flip = int(rng.integers(4)), [3] if rng.integers(2) else []
            father, weight = (torch.rot90(part.flip(flip), turns, (2, 3)) for part in (father, weight))
        son = _noisy(degrade_tensor(father, kernel, scale), settings.son_noise, noise)
        loss = (weight * (enlarged(son) - father).abs()).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if iteration % TEST_EVERY == 0:
            with torch.no_grad():
                tests.append((iteration, float((enlarged(trial_son) - trial).clamp(0, 1).square().mean())))
        if iteration and iteration % POLICY_EVERY == 0 and iteration - last_drop >= LOOK_BACK:
            slope, deviation = _trend([test for test in tests if test[0] >= iteration - LOOK_BACK])
            if -SLOPE_RATIO * slope < deviation:
                last_drop = iteration
                optimiser.param_groups[0]["lr"] /= 10
                if optimiser.param_groups[0]["lr"] < LAST_RATE:
                    break
        if watch:
            watch(iteration + 1, finish)
    return finish()


def run_low_resolution(
    image: Image,
    mask: np.ndarray,
    estimate: KernelEstimate,
    scale: int,
    settings: ZssrSettings,
    seed: int,
    device: str,
    watch: Watch | None = None,
) -> torch.Tensor:
    """The enlarged image (1, 3, s H, s W) by our layout.

    The network sees the back-projected enlargement, its pixels folded into channels, and learns what is missing from
    pairs of the image and the image degraded once more, back-projected, in all turns and flips.
    """
    rng = np.random.default_rng([seed, seed_of(image), seed_of(mask)])
    kernel = estimate.kernel
    low = images.to_tensor(image, device)
    crop = min(settings.crop, *image.shape[:2]) // scale * scale
    recorded = examine(image) if settings.imitate else Capture()
    if recorded.noise:  # back-projection would sharpen it before the network sees it
        settings = replace(settings, input_rounds=0)
    start = back_project(enlarge(low, scale), low, kernel, scale, settings.input_rounds)
    refined: list[torch.Tensor] = []

    @torch.no_grad()
    def apply(network: nn.Module) -> torch.Tensor:
        return _in_strips(partial(_refine, network, scale), STRIP * scale, settings.layers * scale, start)

    @torch.no_grad()
    def finish() -> torch.Tensor:
        high = torch.stack([*refined, apply(network)]).mean(dim=0)
        # true to a noisy input means noisy
        rounds = settings.closing_rounds if recorded.clean else 0
        return back_project(high, low, kernel, scale, rounds).clamp(0, 1)

    for number in range(settings.networks):
        pairs = _pairs(image, mask, kernel, scale, crop, settings, recorded, rng, device)
        network = _network(3 * scale**2, settings, rng, last_gain=0.1).to(low.device)
        optimiser = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=settings.learning_rate, total_steps=settings.iterations
        )
        norms: deque[float] = deque(maxlen=REMEMBERED)
        for iteration, turn in enumerate(rng.integers(len(pairs), size=settings.iterations)):
            father, son, corners = pairs[turn]
            top, left = corners[iteration]
            window = (..., slice(top, top + crop), slice(left, left + crop))
            loss = (_refine(network, scale, son[window]) - father[window]).square().mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            longest = LONGEST * float(np.median(norms)) if norms else float("inf")
            norms.append(float(nn.utils.clip_grad_norm_(network.parameters(), longest)))
            optimiser.step()
            schedule.step()
            if watch:
                watch(number * settings.iterations + iteration + 1, finish)
        if number < settings.networks - 1:
            refined.append(apply(network))
    return finish()


def _pairs(
    image: Image,
    mask: np.ndarray,
    kernel: np.ndarray,
    scale: int,
    crop: int,
    settings: ZssrSettings,
    recorded: Capture,
    rng: np.random.Generator,
    device: str,
) -> list[tuple[torch.Tensor, torch.Tensor, np.ndarray]]:
    """What to train on, for each turn and flip: a father, its back-projected son of the same size, corners of crops.

    The kernel does not turn, so every turn is a new pair. Of a large image each takes another window: bounded cost.
    """
    side, structure = max(FATHER, crop), gradient_map(image)
    noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
    pairs = []
    for turns, flip in product(range(4), (False, True)) if settings.turned else [(0, False)]:
        ((top, left),) = draw_crops(structure, mask, min(side, *image.shape[:2]), 1, rng, step=1)
        # an image narrower than a window is taken whole along that direction
        rows, columns = (
            slice(corner, corner + side) if length > side else slice(None)
            for corner, length in zip((top, left), image.shape[:2], strict=True)
        )
        piece, weights, inside = (
            np.ascontiguousarray(np.rot90(part[rows, columns][:, :: -1 if flip else 1], turns))
            for part in (image, structure, mask)
        )
        height, width = (length // scale * scale for length in piece.shape[:2])
        piece, weights, inside = (part[:height, :width] for part in (piece, weights, inside))
        father = images.to_tensor(piece, device)
        son = recorded.imitate(degrade_tensor(father, kernel, scale), rng)
        son = _noisy(son, settings.son_noise, noise)
        son = back_project(enlarge(son, scale), son, kernel, scale, settings.input_rounds)
        pairs.append((father, son, draw_crops(weights, inside, crop, settings.iterations, rng, step=scale)))
    return pairs


def _refine(network: nn.Module, scale: int, picture: torch.Tensor) -> torch.Tensor:
    """The picture and what the network adds to it, seen with its pixels folded into channels."""
    return picture + F.pixel_shuffle(network(F.pixel_unshuffle(picture, scale)), scale)


def _in_strips(
    function: Callable[[torch.Tensor], torch.Tensor], rows: int, margin: int, picture: torch.Tensor
) -> torch.Tensor:
    """``function`` applied to a picture (1, C, H, W) strip by strip: the same result in bounded memory.

    Args:
        function: sees no further than ``margin`` pixels, and pads with zeros.
        rows: height of a strip.
        margin: rows around a strip that its result depends on.
    """
    parts = []
    for top in range(0, picture.shape[2], rows):
        first = max(0, top - margin)
        strip = function(picture[:, :, first : top + rows + margin])
        parts.append(strip[:, :, top - first : top - first + min(rows, picture.shape[2] - top)])
    return torch.cat(parts, dim=2)


def _network(channels: int, settings: ZssrSettings, rng: np.random.Generator, last_gain: float) -> nn.Sequential:
    """3x3 convolutions, no bias; as published ReLU between them and variance 0.1 per input, else leaky and He's."""
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    variance, leak = (0.1, 0.0) if settings.layout == "enlarged" else (2.0, LEAK)
    sizes = [channels, *[settings.channels] * (settings.layers - 1), channels]
    parts: list[nn.Module] = []
    for index, (inner, outer) in enumerate(pairwise(sizes)):
        convolution = nn.Conv2d(inner, outer, 3, padding=1, bias=False)
        gain = last_gain if index == settings.layers - 1 else 1.0
        with torch.no_grad():
            convolution.weight.normal_(0, gain * (variance / (9 * inner)) ** 0.5, generator=generator)
        parts += [convolution, nn.LeakyReLU(leak)]
    # channels last: the same sums, 10 to 40 % faster on the CPU
    return nn.Sequential(*parts[:-1]).to(memory_format=torch.channels_last)


def _loss_weights(father: torch.Tensor) -> torch.Tensor:
    """The gradient map (1, 1, H, W) with mean 1."""
    weights = gradient_map(images.to_image(father))
    return torch.from_numpy(weights / weights.mean()).float().to(father.device)[None, None]


def _random_crop(
    father: torch.Tensor, crop: int, scale: int, rng: np.random.Generator
) -> tuple[int, int, tuple[int, int]]:
    """Corner and size of a uniformly drawn crop, both sides multiples of the scale."""
    height, width = (min(crop, side) // scale * scale for side in father.shape[2:])
    top, left = (
        int(rng.integers(side - used + 1)) for side, used in zip(father.shape[2:], (height, width), strict=True)
    )
    return top, left, (height, width)


def _noisy(picture: torch.Tensor, std: float, generator: torch.Generator) -> torch.Tensor:
    if std == 0:
        return picture
    return picture + std * torch.randn(picture.shape, generator=generator).to(picture.device)


def _trend(tests: list[tuple[int, float]]) -> tuple[float, float]:
    """Slope of a line through (iteration, error) points, and the standard deviation of that slope."""
    from scipy.stats import linregress

    iterations, errors = zip(*tests, strict=True)
    fit: Any = linregress(iterations, errors)
    return float(fit.slope), float(fit.stderr)


def _ensemble(function: Callable[[torch.Tensor], torch.Tensor], picture: torch.Tensor) -> torch.Tensor:
    """Median over the 8 flips and turns."""
    results = []
    for turns in range(4):
        for flip in (False, True):
            turned = torch.rot90(picture, turns, (2, 3))
            out = function(turned.flip(3) if flip else turned)
            results.append(torch.rot90(out.flip(3) if flip else out, -turns, (2, 3)))
    return torch.stack(results).median(dim=0).values
