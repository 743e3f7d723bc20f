"""Our layout: a small network that works at low resolution on the back-projected enlargement (method.md §3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mkgan_core.imaging import images
from mkgan_core.imaging.aliases import aliasing
from mkgan_core.imaging.crops import draw_crops, gradient_map, seed_of
from mkgan_core.imaging.degradation import degrade_tensor, reach_of
from mkgan_core.imaging.images import Image
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.recording import Recording, examine
from mkgan_core.imaging.total_variation import luma_tensor, reduce_variation, share_of_change
from mkgan_core.machine.cores import side_by_side
from mkgan_core.machine.progress import check, counted
from mkgan_core.upscalers.back_projection import back_project
from mkgan_core.upscalers.interpolation import enlarge
from mkgan_core.upscalers.zssr.lesson import Lesson, Pair
from mkgan_core.upscalers.zssr.network import Watch, build, noisy
from mkgan_core.upscalers.zssr.non_local import average_similar
from mkgan_core.upscalers.zssr.optimiser import Optimiser
from mkgan_core.upscalers.zssr.settings import ZssrSettings
from mkgan_core.upscalers.zssr.strips import in_strips
from mkgan_core.upscalers.zssr.together import taught

STRIP, STRIP_PIXELS = 128, 400_000  # most low-resolution rows and pixels of a strip to which the network is applied
FATHER, WINDOW_STEP = 384, 8  # side of the training windows, and the grid spacing of their corners
GAIN_TO_TRUST = 2.0  # a network that halves the error of bicubic enlargement is trusted completely
ALIASING = 0.5  # with a kernel that aliases this much, no network is trusted; chosen on photographs, four filters
# As `WHOLE` and `NOTHING` of the total variation, for similar patches. Their change is 0.17 to 0.24 of the network's
# with right kernels, and 0.5 to 0.6 with two of Levin's, with which they would lose 2 to 3 dB
AVERAGING_LIMITS = 0.25, 0.4
TRAINING = 0.8  # the training's approximate share of the work, for the progress bar


class LowResolution:
    """An image, its kernel, and the networks that are trained on it; creating the object trains them.

    A network's input is a back-projected enlargement with its pixels folded into channels, and its output is the
    missing detail. It learns from pairs: a window of the image, and the same window degraded, enlarged and
    back-projected, in all rotations and flips.

    Args:
        image: (H, W, 3) in [0, 1], low resolution.
        mask: bool (H, W), the region to train on.
        kernel: the image's blur.
        scale: enlargement factor s, 2 or 4.
        settings: of our layout.
        seed: of the random draws.
        device: torch device on which the networks are trained.
        watch: called after every step (on the CPU only).

    Raises:
        Stopped: between two steps, if the run is being stopped.
    """

    def __init__(
        self,
        image: Image,
        mask: np.ndarray,
        kernel: Kernel,
        scale: int,
        settings: ZssrSettings,
        seed: int,
        device: str,
        watch: Watch | None = None,
    ) -> None:
        self.recorded = examine(image) if settings.imitate else Recording()
        if self.recorded.noise:  # back-projection would amplify the noise before the network sees it
            settings = replace(settings, input_rounds=0)
        self.image, self.kernel, self.scale, self.settings, self.device = image, kernel, scale, settings, device
        self.networks: list[nn.Module] = []
        self.trust: list[float] = []  # the share of each network's change that is used
        self.last_step = 0.0  # the share of the last step's change that is used, of its total variation,
        self.averaging = 0.0  # and of its averages of similar patches
        self._window: torch.Tensor | None = None
        rng = np.random.default_rng([seed, seed_of(image), seed_of(mask)])
        lessons = (self.lesson(mask, rng) for _ in range(settings.networks))
        if device.startswith("cuda"):
            lessons = taught(tuple(lessons), device)
            self.networks += [lesson.network for lesson in lessons]
            self.trust += [self._trust(lesson) for lesson in lessons]
            self._weigh_last_step()
            return
        for number, lesson in enumerate(lessons):
            self._train(lesson, number, watch)
            self.trust[number] = self._trust(lesson)
        self._weigh_last_step()

    @property
    def blur(self) -> np.ndarray:
        """The kernel's array (K, K)."""
        return self.kernel.array

    @torch.no_grad()
    def rows(self, top: int, bottom: int) -> torch.Tensor:
        """The enlargement (1, 3, s (bottom - top), s W), in [0, 1], of low-resolution rows ``top`` to ``bottom``."""
        margin = reach_of(self.blur, self.scale) + self.settings.layers
        first, last = max(0, top - margin), min(self.image.shape[0], bottom + margin)
        low = images.to_tensor(self.image[first:last], self.device)
        high = self._enlarged(low)
        if self.last_step:
            high = torch.lerp(high, self._with_few_gradients(high, low), self.last_step)
        if self.averaging:
            high = torch.lerp(high, self._averaged(high, low), self.averaging)
        return high[:, :, (top - first) * self.scale : (bottom - first) * self.scale]

    def _enlarged(self, low: torch.Tensor) -> torch.Tensor:
        """Enlarge a part of the image with the networks and the closing back-projections, without the last step."""
        start = back_project(enlarge(low, self.scale), low, self.blur, self.scale, self.settings.input_rounds)
        reach = self.settings.layers * self.scale
        strip = self.scale * max(reach, min(STRIP, STRIP_PIXELS // self.image.shape[1]))
        refined = [
            torch.lerp(start, in_strips(partial(_refine, network, self.scale), strip, reach, start), trust)
            for network, trust in zip(self.networks, self.trust, strict=True)
        ]
        high = refined[0] if len(refined) == 1 else torch.stack(refined).mean(dim=0)
        # reproducing a noisy or compressed input would reproduce its errors
        rounds = self.settings.closing_rounds if self.recorded.clean else 0
        return back_project(high, low, self.blur, self.scale, rounds).clamp(0, 1)

    def _with_few_gradients(self, high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
        changed = reduce_variation(high, low, self.blur, self.scale, self.settings.variation, self.kernel.model_error)
        return changed.clamp(0, 1)

    def _averaged(self, high: torch.Tensor, low: torch.Tensor) -> torch.Tensor:
        changed = average_similar(high, low, self.blur, self.scale, self.settings.similarity, self.kernel.model_error)
        return changed.clamp(0, 1)

    @torch.no_grad()
    def _weigh_last_step(self) -> None:
        """Set the shares of the last step's two changes that are used, 0 to 1 (method.md §3).

        With a wrong kernel, each half changes more, because it explains what the network left unexplained. So its share
        falls with the ratio of its change to the network's.
        """
        low = self._window
        if not (self.settings.variation and self.recorded.clean and low is not None):
            return
        high = self._enlarged(low)
        learned = _spread(high - enlarge(low, self.scale))
        smooth = self._with_few_gradients(high, low)
        self.last_step = share_of_change(_spread(smooth - high), learned)
        if self.last_step and self.settings.similarity:
            high = torch.lerp(high, smooth, self.last_step)
            change = _spread(self._averaged(high, low) - high)
            self.averaging = self.last_step * share_of_change(change, learned, *AVERAGING_LIMITS)

    def lesson(self, mask: np.ndarray, rng: np.random.Generator) -> Lesson:
        """Draw the training data and initial weights of one network; this advances ``rng``."""
        settings = self.settings
        pairs = self._pairs(mask, rng)
        self._window = pairs[0].father  # neither rotated nor flipped
        network = build(3 * self.scale**2, settings, rng, last_gain=0.1)
        turns = rng.integers(len(pairs), size=(settings.iterations, settings.crops))
        return Lesson(network.to(self.device), pairs, turns, self._crop, self.scale, settings)

    def _train(self, lesson: Lesson, number: int, watch: Watch | None) -> None:
        """Train a network on the CPU, with each father of a step on its own core if one is free."""
        settings, network = self.settings, lesson.network
        self.networks.append(network)
        self.trust.append(1.0)
        optimiser = Optimiser(network, settings.learning_rate, settings.iterations)

        def gradients(iteration: int, which: int) -> Sequence[torch.Tensor]:
            father, son = lesson.crops(iteration, which)
            loss = (_refine(network, self.scale, son) - father).square().mean()
            return torch.autograd.grad(loss, optimiser.parameters)

        share = TRAINING / settings.networks
        for iteration in counted(settings.iterations, number * share, (number + 1) * share):
            each = side_by_side([partial(gradients, iteration, which) for which in range(settings.crops)])
            optimiser.step(each)
            if watch:
                watch(number * settings.iterations + iteration + 1, partial(self.rows, 0, self.image.shape[0]))

    @torch.no_grad()
    def _trust(self, lesson: Lesson) -> float:
        """The share of a network's change to use, 0 to 1 (method.md §3).

        If a network restores the image from its degraded form hardly better than bicubic enlargement does, it will not
        help at the next scale either. This happens if the image contains aliases, which cannot be restored. The more
        aliases the kernel leaves in, the more the network learns to produce them.
        """
        earned = 1.0
        if not self.recorded.noise:  # a network for a noisy image learns to remove noise
            pair = lesson.pairs[0]
            left = float((_refine(lesson.network, self.scale, pair.son) - pair.father).square().mean())
            earned = min(1.0, max(0.0, GAIN_TO_TRUST * (1 - left / max(pair.plain_error, 1e-12))))
        return earned * max(0.0, 1 - aliasing(self.blur, self.scale) / ALIASING) ** 2

    @property
    def _crop(self) -> int:
        side = self.settings.crop * (5 if self.scale == 4 else 4) // 4  # at x4 the network sees half as many pixels
        return min(side, *self.image.shape[:2]) // self.scale * self.scale

    def _pairs(self, mask: np.ndarray, rng: np.random.Generator) -> list[Pair]:
        """One pair for each rotation and flip.

        The kernel is not rotated with the image, so every rotation is a new pair. In a large image, each pair has its
        own window, which bounds the cost.
        """
        image, settings, scale, crop = self.image, self.settings, self.scale, self._crop
        side, structure = max(FATHER, crop), gradient_map(image)
        noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
        turnings = list(product(range(4), (False, True))) if settings.turned else [(0, False)]
        places = draw_crops(structure, mask, min(side, *image.shape[:2]), len(turnings), rng, step=WINDOW_STEP)
        pairs = []
        for (turns, flip), (top, left) in zip(turnings, places, strict=True):
            check()
            # an image smaller than a window is used completely along that direction
            rows, columns = (
                slice(corner, corner + side) if length > side else slice(None)
                for corner, length in zip((top, left), image.shape[:2], strict=True)
            )
            piece, weights, inside = (
                _turned(part[rows, columns], turns, flip, scale) for part in (image, structure, mask)
            )
            father = images.to_tensor(piece, self.device)
            son = self.recorded.imitate(degrade_tensor(father, self.blur, scale), rng)
            plain_error = float((enlarge(son, scale) - father).square().mean())
            son = noisy(son, settings.son_noise, noise)
            son = back_project(enlarge(son, scale), son, self.blur, scale, settings.input_rounds)
            corners = draw_crops(weights, inside, crop, settings.iterations * settings.crops, rng, step=scale)
            pairs.append(Pair(father, son, corners, plain_error))
        return pairs


def _spread(change: torch.Tensor) -> float:
    return float(luma_tensor(change).std())


def _turned(window: np.ndarray, turns: int, flip: bool, multiple: int) -> np.ndarray:
    """A window, (H, W) or (H, W, 3), flipped, rotated ``turns`` times by 90°, its sides cropped to multiples."""
    turned = np.ascontiguousarray(np.rot90(window[:, :: -1 if flip else 1], turns))
    height, width = (length // multiple * multiple for length in turned.shape[:2])
    return turned[:height, :width]


def _refine(network: nn.Module, scale: int, picture: torch.Tensor) -> torch.Tensor:
    """Add the network's output to its input (1, 3, H, W); the network works on the pixels folded into channels."""
    return picture + F.pixel_shuffle(network(F.pixel_unshuffle(picture, scale)), scale)
