"""The published layout: eight convolutions on the bicubic enlargement, as KernelGAN calls ZSSR (method.md §3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mkgan_core.imaging import images
from mkgan_core.imaging.crops import gradient_map, seed_of
from mkgan_core.imaging.degradation import degrade_tensor
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.importing import importing
from mkgan_core.machine.progress import counted
from mkgan_core.upscalers.back_projection import back_project
from mkgan_core.upscalers.interpolation import enlarge
from mkgan_core.upscalers.zssr.network import Watch, build, noisy
from mkgan_core.upscalers.zssr.settings import ZssrSettings

# The published learning-rate policy: measure the error every 50 iterations; every 60, fit a line to the last 256
# iterations' errors and decide whether to divide the rate by 10.
TEST_EVERY, POLICY_EVERY, LOOK_BACK = 50, 60, 256
SLOPE_RATIO, LAST_RATE = 1.5, 9e-6


def run_published(
    image: Image,
    kernel: Kernel,
    scale: int,
    settings: ZssrSettings,
    seed: int,
    device: str,
    watch: Watch | None = None,
) -> torch.Tensor:
    """Enlarge an image with the published layout.

    At x4, if the kernel at x2 is known, the image is first enlarged by 2, and the result is added to the fathers.

    Args:
        image: (H, W, 3) in [0, 1], low resolution.
        kernel: the image's blur.
        scale: enlargement factor s, 2 or 4.
        settings: of the published layout.
        seed: of the random draws.
        device: torch device on which the network is trained.
        watch: called after every step.

    Returns:
        (1, 3, s H, s W), in [0, 1].

    Raises:
        Stopped: between two steps, if the run is being stopped.
    """
    rng = np.random.default_rng([seed, seed_of(image)])
    low = images.to_tensor(image, device)
    fathers = [low]
    if scale == 4 and kernel.half is not None:
        fathers.append(_published_stage(low, fathers, kernel.half, 2, settings, rng))
    return _published_stage(low, fathers, kernel.array, scale, settings, rng, watch)


def _published_stage(
    low: torch.Tensor,
    fathers: list[torch.Tensor],
    kernel: np.ndarray,
    scale: int,
    settings: ZssrSettings,
    rng: np.random.Generator,
    watch: Watch | None = None,
) -> torch.Tensor:
    network = build(3, settings, rng, last_gain=1.0).to(low.device)
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

    for iteration in counted(settings.iterations):
        which = int(rng.integers(len(fathers)))
        top, left, size = _random_crop(fathers[which], settings.crop, scale, rng)
        father = fathers[which][..., top : top + size[0], left : left + size[1]]
        weight = weights[which][..., top : top + size[0], left : left + size[1]]
        if settings.turned:
            turns, flip = int(rng.integers(4)), [3] if rng.integers(2) else []
            father, weight = (torch.rot90(part.flip(flip), turns, (2, 3)) for part in (father, weight))
        son = noisy(degrade_tensor(father, kernel, scale), settings.son_noise, noise)
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


def _loss_weights(father: torch.Tensor) -> torch.Tensor:
    """The gradient map (1, 1, H, W) of a father, scaled to mean 1."""
    weights = gradient_map(images.to_image(father))
    return torch.from_numpy(weights / weights.mean()).float().to(father.device)[None, None]


def _random_crop(
    father: torch.Tensor, crop: int, scale: int, rng: np.random.Generator
) -> tuple[int, int, tuple[int, int]]:
    """Top, left and size (height, width) of a uniformly drawn crop; both sides are multiples of the scale."""
    height, width = (min(crop, side) // scale * scale for side in father.shape[2:])
    top, left = (
        int(rng.integers(side - used + 1)) for side, used in zip(father.shape[2:], (height, width), strict=True)
    )
    return top, left, (height, width)


def _trend(tests: list[tuple[int, float]]) -> tuple[float, float]:
    """Slope of the line fitted to (iteration, error) points, and the slope's standard deviation."""
    with importing:
        from scipy.stats import linregress

    iterations, errors = zip(*tests, strict=True)
    fit: Any = linregress(iterations, errors)
    return float(fit.slope), float(fit.stderr)


def _ensemble(function: Callable[[torch.Tensor], torch.Tensor], picture: torch.Tensor) -> torch.Tensor:
    """Pixelwise median of the function's results for the 8 flips and rotations of a picture."""
    results = []
    for turns in range(4):
        for flip in (False, True):
            turned = torch.rot90(picture, turns, (2, 3))
            out = function(turned.flip(3) if flip else turned)
            results.append(torch.rot90(out.flip(3) if flip else out, -turns, (2, 3)))
    return torch.stack(results).median(dim=0).values
