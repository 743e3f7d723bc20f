"""Our layout: a small network at low resolution on the back-projected enlargement (method.md §3)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mkgan_core.imaging import images
from mkgan_core.imaging.crops import draw_crops, gradient_map, seed_of
from mkgan_core.imaging.degradation import degrade_tensor
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.recording import Recording, examine
from mkgan_core.upscalers.back_projection import back_project
from mkgan_core.upscalers.interpolation import enlarge
from mkgan_core.upscalers.zssr.network import Watch, build, noisy
from mkgan_core.upscalers.zssr.settings import ZssrSettings

STRIP = 128  # low-resolution rows that the trained network sees at a time
FATHER = 384  # side of the windows that our layout trains on
# Gradients longer than so many times the median of this many before them are cut (AutoClip: Seetharaman et al. 2020).
LONGEST, REMEMBERED = 2.0, 50


def run_low_resolution(
    image: Image,
    mask: np.ndarray,
    kernel: Kernel,
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
    blur = kernel.array
    low = images.to_tensor(image, device)
    crop = min(settings.crop, *image.shape[:2]) // scale * scale
    recorded = examine(image) if settings.imitate else Recording()
    if recorded.noise:  # back-projection would sharpen it before the network sees it
        settings = replace(settings, input_rounds=0)
    start = back_project(enlarge(low, scale), low, blur, scale, settings.input_rounds)
    refined: list[torch.Tensor] = []

    @torch.no_grad()
    def apply(network: nn.Module) -> torch.Tensor:
        return _in_strips(partial(_refine, network, scale), STRIP * scale, settings.layers * scale, start)

    @torch.no_grad()
    def finish() -> torch.Tensor:
        high = torch.stack([*refined, apply(network)]).mean(dim=0)
        # true to a noisy input means noisy
        rounds = settings.closing_rounds if recorded.clean else 0
        return back_project(high, low, blur, scale, rounds).clamp(0, 1)

    for number in range(settings.networks):
        pairs = _pairs(image, mask, blur, scale, crop, settings, recorded, rng, device)
        network = build(3 * scale**2, settings, rng, last_gain=0.1).to(low.device)
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
    blur: np.ndarray,
    scale: int,
    crop: int,
    settings: ZssrSettings,
    recorded: Recording,
    rng: np.random.Generator,
    device: str,
) -> list[tuple[torch.Tensor, torch.Tensor, np.ndarray]]:
    """What to train on, for each turn and flip.

    Each is a father (1, 3, H, W), its back-projected son of the same size, and the corners (iterations, 2) of crops.

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

        piece, weights, inside = (_turned(part[rows, columns], turns, flip, scale) for part in (image, structure, mask))
        father = images.to_tensor(piece, device)
        son = recorded.imitate(degrade_tensor(father, blur, scale), rng)
        son = noisy(son, settings.son_noise, noise)
        son = back_project(enlarge(son, scale), son, blur, scale, settings.input_rounds)
        pairs.append((father, son, draw_crops(weights, inside, crop, settings.iterations, rng, step=scale)))
    return pairs


def _turned(window: np.ndarray, turns: int, flip: bool, multiple: int) -> np.ndarray:
    """A window, (H, W) or (H, W, 3), flipped and turned by quarters, its sides cut to multiples of a number."""
    turned = np.ascontiguousarray(np.rot90(window[:, :: -1 if flip else 1], turns))
    height, width = (length // multiple * multiple for length in turned.shape[:2])
    return turned[:height, :width]


def _refine(network: nn.Module, scale: int, picture: torch.Tensor) -> torch.Tensor:
    """The picture and what the network adds to it, seen with its pixels folded into channels."""
    return picture + F.pixel_shuffle(network(F.pixel_unshuffle(picture, scale)), scale)


def _in_strips(
    function: Callable[[torch.Tensor], torch.Tensor], rows: int, margin: int, picture: torch.Tensor
) -> torch.Tensor:
    """``function`` applied to a picture (1, C, H, W) strip by strip: the same result in bounded memory.

    Args:
        function: sees no further than ``margin`` pixels, and pads with zeros.
        picture: (1, C, H, W).
        rows: height of a strip.
        margin: rows around a strip that its result depends on.
    """
    parts = []
    for top in range(0, picture.shape[2], rows):
        first = max(0, top - margin)
        strip = function(picture[:, :, first : top + rows + margin])
        parts.append(strip[:, :, top - first : top - first + min(rows, picture.shape[2] - top)])
    return torch.cat(parts, dim=2)
