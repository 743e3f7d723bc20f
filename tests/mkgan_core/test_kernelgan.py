"""KernelGAN: the collapsed, batched training against the networks written out layer by layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mkgan_core.crops import draw_crops, gradient_map
from mkgan_core.errors import KernelError, RegionError
from mkgan_core.estimators import kernelgan
from mkgan_core.estimators.kernelgan_training import (
    apply_kernel,
    compose_filters,
    discriminate,
    initial_weights,
    row_patches,
    train,
)
from mkgan_core.regions import Region, whole


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_the_collapsed_generator_is_the_layered_one(dtype: torch.dtype, tolerance: float) -> None:
    """Outputs and gradients of all weights, two regions at once, random weights of ordinary size."""
    filters, _, _ = initial_weights([1, 2], "cpu", dtype)
    filters = [(f.detach() * 5).requires_grad_() for f in filters]
    crops = torch.rand(2, 3, 64, 64, dtype=dtype, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pull = torch.randn(2, 3, 26, 26, dtype=dtype, generator=torch.Generator().manual_seed(1))

    def layered() -> torch.Tensor:
        out = []
        for region in range(2):
            x = crops[region].unsqueeze(1)  # each colour channel separately
            for index, f in enumerate(filters):
                x = F.conv2d(x, f[region], stride=2 if index == len(filters) - 1 else 1)
            out.append(x.squeeze(1))
        return torch.stack(out)

    collapsed, _ = apply_kernel(compose_filters(filters), torch.zeros(169, dtype=dtype), row_patches(crops))
    expected = layered()
    assert _relative(collapsed, expected) < tolerance
    ours = torch.autograd.grad((collapsed * pull).sum(), filters)
    theirs = torch.autograd.grad((expected * pull).sum(), filters)
    for a, b in zip(ours, theirs, strict=True):
        assert _relative(a, b) < tolerance


def test_the_batched_discriminator_is_the_layered_one() -> None:
    """Against torch's own convolutions, spectral norm and batch norm, pass by pass; two regions, two passes."""
    _, weights, vectors = initial_weights([3, 4], "cpu", torch.float64)
    crops = torch.rand(2, 3, 2, 26, 26, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    started = {name: v.clone() for name, v in vectors.items()}
    ours = discriminate(crops, weights, vectors)
    grads = dict(zip(MATRICES, torch.autograd.grad(ours.square().sum(), [weights[m] for m in MATRICES]), strict=True))
    for region in range(2):
        layers = _layered_discriminator(weights, started, region)
        for p in range(2):
            theirs = layers(crops[region, :, p].unsqueeze(0)).flatten()
            assert torch.allclose(ours[region, p], theirs, atol=1e-10)
        _freeze_power_iteration(layers)
        loss = sum(layers(crops[region, :, p].unsqueeze(0)).square().sum() for p in range(2))
        loss.backward()
        convolutions = [m for m in layers if isinstance(m, nn.Conv2d)]
        for ours_grad, convolution in zip(_matrices(grads, region), convolutions, strict=True):
            assert torch.allclose(ours_grad, convolution.weight_orig.grad.flatten(1), atol=1e-9)


MATRICES = ("first", "middle", "last")


def _matrices(weights: dict[str, torch.Tensor], region: int) -> list[torch.Tensor]:
    """The seven convolutions of one region, in order."""
    first, middle, last = (weights[name][region].detach() for name in MATRICES)
    return [first, *middle, last]


def _layered_discriminator(
    weights: dict[str, torch.Tensor], vectors: dict[str, torch.Tensor], region: int
) -> nn.Sequential:
    parts: list[nn.Module] = []
    for index, (matrix, u) in enumerate(zip(_matrices(weights, region), _matrices(vectors, region), strict=True)):
        side = 7 if index == 0 else 1
        convolution = nn.Conv2d(matrix.shape[1] // side**2, len(matrix), side, bias=index == 6, dtype=torch.float64)
        convolution.weight.data = matrix.reshape(convolution.weight.shape).clone()
        if index == 6:
            convolution.bias.data = weights["bias"][region].detach().clone()
        convolution = nn.utils.spectral_norm(convolution)
        convolution.weight_u = u.clone()
        parts.append(convolution)
        if 0 < index < 6:
            norm = nn.BatchNorm2d(64, dtype=torch.float64)
            norm.weight.data = weights["scales"][region, index - 1].detach().clone()
            parts += [norm, nn.ReLU()]
    network = nn.Sequential(*parts, nn.Sigmoid()).train()
    # the first pass advances the power iteration, the second must see the same weights
    network.register_forward_hook(lambda *_: _freeze_power_iteration(network))
    return network


def _freeze_power_iteration(network: nn.Sequential) -> None:
    for module in network:
        for hook in module._forward_pre_hooks.values():
            hook.n_power_iterations = 0


def _relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(((a - b).abs().max() / b.abs().max()).detach())


def test_a_region_does_not_depend_on_its_batch(picture: np.ndarray) -> None:
    settings = replace(kernelgan.PRESETS["paper"], iterations=5)
    problems = [kernelgan.problem(np.roll(picture, s, 1), whole(picture.shape[:2]), 0, settings) for s in (0, 9, 30)]
    together = train(problems, settings)
    alone = train(problems[1:2], settings)[0]
    assert np.abs(together[1] - alone).max() < 1e-4 * np.abs(alone).max()


def test_training_is_repeatable_and_seeded(picture: np.ndarray) -> None:
    settings = replace(kernelgan.PRESETS["paper"], iterations=3)
    one, again, other = (
        train([kernelgan.problem(picture, whole(picture.shape[:2]), seed, settings)], settings)[0] for seed in (0, 0, 1)
    )
    assert np.array_equal(one, again)
    assert not np.allclose(one, other, rtol=0.1)


def test_a_region_that_diverges_fails_alone(picture: np.ndarray) -> None:
    settings = replace(kernelgan.PRESETS["paper"], iterations=3)
    good = kernelgan.problem(picture, whole(picture.shape[:2]), 0, settings)
    bad = replace(good, image=np.full_like(good.image, np.nan))
    healthy, broken = train([good, bad], settings)
    assert np.isfinite(healthy).all()
    assert not np.isfinite(broken).all()


def test_crops_stay_inside_their_region() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((120, 160), bool)
    mask[:, :70] = True
    image = rng.uniform(0, 1, (120, 160, 3)).astype(np.float32)
    corners = draw_crops(gradient_map(image), mask, 26, 500, rng)
    assert (corners % 2 == 0).all()
    assert (corners >= 0).all() and (corners + 26 <= [120, 160]).all()
    fills = [mask[t : t + 26, s : s + 26].mean() for t, s in corners]
    assert min(fills) >= 0.6


def test_crops_without_any_filled_crop_take_the_fullest() -> None:
    rng = np.random.default_rng(0)
    mask = np.zeros((100, 100), bool)
    mask[40:52, 40:52] = True
    corners = draw_crops(np.ones((100, 100)), mask, 64, 50, rng)
    assert all(mask[t : t + 64, s : s + 64].sum() == 144 for t, s in corners)


def test_post_processing_refuses_what_did_not_converge() -> None:
    with pytest.raises(KernelError, match="did not converge"):
        kernelgan.post_process(np.full((13, 13), np.nan))
    with pytest.raises(KernelError, match="did not converge"):
        kernelgan.post_process(np.zeros((13, 13)))


def test_an_image_smaller_than_a_crop_is_refused() -> None:
    with pytest.raises(RegionError, match="at least 64"):
        kernelgan.problem(
            np.zeros((60, 200, 3), np.float32), Region("whole", np.ones((60, 200), bool)), 0, kernelgan.PRESETS["fast"]
        )
