"""KernelGAN's training for R regions at once: generator and discriminator steps in turn (method.md §2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from mkgan_core.estimators.kernelgan.batch import NOISE_CHUNK, Batch
from mkgan_core.estimators.kernelgan.discriminator import Discrimination
from mkgan_core.estimators.kernelgan.generator import Composition, downscale, downscale_gradient
from mkgan_core.estimators.kernelgan.networks import KERNEL, MAP, initial_weights
from mkgan_core.estimators.kernelgan.penalties import GROUNDED, Penalties
from mkgan_core.estimators.kernelgan.problem import Problem
from mkgan_core.estimators.kernelgan.settings import KernelGanSettings
from mkgan_core.machine import replay
from mkgan_core.machine.progress import counted

# A kernel leaves zero within TAKE_OFF / learning_rate steps (300 of the published 3000), or never does. This is checked
# LOOKS times, before the learning rate falls.
TAKE_OFF, LOOKS = 0.06, 2


@torch.no_grad()
def train(problems: Sequence[Problem], settings: KernelGanSettings, device: str = "cpu") -> list[np.ndarray]:
    """Train one generator and one discriminator per problem, all in one batch.

    Args:
        problems: the regions.
        settings: the same for all.
        device: torch device.

    Returns:
        The raw 13 x 13 kernels, float64, in the order of the problems; a region that diverged has non-finite values.
    """
    with replay.own_stream(device):
        training = Training(problems, settings, device)
        step = replay.Replayed(training.step, device)
        drop_every, look_every = settings.stretch(750), round(TAKE_OFF / settings.learning_rate)
        for iteration in counted(settings.iterations):
            if iteration and iteration % drop_every == 0:
                training.slow_down()
            if iteration in range(look_every, LOOKS * look_every + 1, look_every):
                training.start_again()
            if iteration % NOISE_CHUNK == 0:
                replay.wait(device)
                training.batch.draw_noise()
            step()
        return list(training.kernels())


class Training:
    """The networks of R regions, and their training data.

    A step depends only on tensors, so that it can be recorded as a CUDA graph.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        settings: KernelGanSettings,
        device: str,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.batch = Batch(problems, device, dtype)
        self.filters, self.weights, self.vectors = initial_weights([p.weight_seed for p in problems], device, dtype)
        self.penalties = Penalties(len(problems), settings, device, dtype)
        self._seeds = [p.weight_seed for p in problems]
        on_gpu = device.startswith("cuda")
        # a recorded step cannot take a Python number: it reads the rate from a tensor
        rate = torch.tensor(settings.learning_rate, device=device) if on_gpu else settings.learning_rate
        self.optimisers = [
            torch.optim.Adam(group, lr=rate, betas=(0.5, 0.999), fused=True, capturable=on_gpu)
            for group in (self.filters, list(self.weights.values()))
        ]

    def step(self) -> None:
        """Make one step of the generators and one of the discriminators."""
        rows, reduced, real, real_noise, fake_noise = self.batch.crops()
        filters, weights, vectors = self.filters, self.weights, self.vectors
        gradients = generator_gradients(
            Composition(filters),
            self.penalties,
            rows,
            reduced,
            weights,
            vectors,
            spread=self.batch.spread,
            iteration=self.batch.iteration,
        )
        for filter_, gradient in zip(filters, gradients, strict=True):
            filter_.grad = gradient
        self.optimisers[0].step()

        fake = downscale(Composition(filters).kernel, rows)
        for name, gradient in discriminator_gradients(real + real_noise, fake + fake_noise, weights, vectors).items():
            weights[name].grad = gradient
        self.optimisers[1].step()
        self.batch.iteration += 1

    def start_again(self) -> None:
        """Draw new weights for regions whose kernels are still near zero; not in the paper (method.md §2).

        Other regions do not change. Of Adam's moments only the first is reset: if the second were reset too, the first
        steps would be 16 times as long.
        """
        total = Composition(self.filters).kernel.sum(dim=1)
        for region in (total < GROUNDED).nonzero().ravel().tolist():
            self._seeds[region] = int(np.random.default_rng(self._seeds[region]).integers(2**62))
            filters, weights, vectors = initial_weights([self._seeds[region]], str(total.device), total.dtype)
            fresh = [*filters, *weights.values(), *vectors.values()]
            for old, new in zip([*self.filters, *self.weights.values(), *self.vectors.values()], fresh, strict=True):
                old[region] = new[0]
            for optimiser in self.optimisers:
                for state in optimiser.state.values():
                    state["exp_avg"][region] = 0
            self.penalties.start_again(region)

    def slow_down(self) -> None:
        """Divide the learning rates by ten."""
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] /= 10

    def kernels(self) -> np.ndarray:
        """The current kernels, (R, 13, 13), float64."""
        return Composition(self.filters).kernel.reshape(-1, KERNEL, KERNEL).double().cpu().numpy()


def generator_gradients(
    generator: Composition,
    penalties: Penalties,
    rows: torch.Tensor,
    reduced: torch.Tensor,
    weights: dict[str, torch.Tensor],
    vectors: dict[str, torch.Tensor],
    spread: torch.Tensor,
    iteration: int | torch.Tensor,
) -> list[torch.Tensor]:
    """Gradients of the generator's loss: mean |1 - D(G(crop))|, the bicubic term and the penalties.

    The penalties' schedule advances by one iteration.

    Args:
        generator: of all regions.
        penalties: on their kernels.
        rows: the crops, as `row_patches`.
        reduced: the same crops reduced with the bicubic kernel, (R, 3, 26, 26).
        weights: of the discriminator.
        vectors: of its spectral norms; they are updated by one power iteration.
        spread: buffer for `downscale_gradient`.
        iteration: its index, for the penalties' schedule.

    Returns:
        One gradient per filter of the generator, in its shape.
    """
    fake = downscale(generator.kernel, rows)
    call = Discrimination(fake.unsqueeze(1), weights, vectors)
    verdict = call.verdict  # a sigmoid, so below 1
    to_fake = call.crop_gradients(verdict * (verdict - 1) / MAP**2)
    off = fake - reduced
    to_kernel = penalties.gradient(generator.kernel)
    pull = to_fake[:, 0] + off * (2 * penalties.weight / off[0].numel()).reshape(-1, 1, 1, 1)
    to_kernel += downscale_gradient(pull, rows, spread)
    total = generator.kernel.sum(dim=1, keepdim=True)
    penalties.advance(off.square().mean(dim=(1, 2, 3)).unsqueeze(1), total, iteration)
    return generator.gradients(to_kernel)


def discriminator_gradients(
    real: torch.Tensor, fake: torch.Tensor, weights: dict[str, torch.Tensor], vectors: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Gradients of the discriminator's loss: half of mean |1 - D(real)| + mean |D(fake)|.

    Args:
        real: crops of the images, (R, 3, 26, 26).
        fake: crops of the generator's output, (R, 3, 26, 26).
        weights: of the discriminator.
        vectors: of its spectral norms; they are updated by one power iteration.

    Returns:
        One gradient per weight, by its name.
    """
    call = Discrimination(torch.stack([real, fake], dim=1), weights, vectors)
    slope = call.verdict * (1 - call.verdict) * (0.5 / MAP**2)
    slope[:, :, 0].neg_()
    return call.weight_gradients(slope)
