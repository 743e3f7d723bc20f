"""KernelGAN: the collapsed, batched training against the networks written out layer by layer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mkgan_core.datasets.layout import ImageSpec, load_low
from mkgan_core.datasets.true_kernels import true_kernel
from mkgan_core.errors import KernelError, RegionError
from mkgan_core.estimators.base import Context
from mkgan_core.estimators.kernelgan.discriminator import Discrimination
from mkgan_core.estimators.kernelgan.estimator import KernelGan, post_process
from mkgan_core.estimators.kernelgan.generator import Composition, downscale, downscale_gradient, row_patches
from mkgan_core.estimators.kernelgan.networks import MATRICES, initial_weights
from mkgan_core.estimators.kernelgan.penalties import Penalties
from mkgan_core.estimators.kernelgan.problem import problem
from mkgan_core.estimators.kernelgan.settings import PRESETS
from mkgan_core.estimators.kernelgan.training import Training, discriminator_gradients, generator_gradients, train
from mkgan_core.imaging import kernels
from mkgan_core.imaging.crops import draw_crops, gradient_map
from mkgan_core.imaging.regions import Region, whole
from mkgan_core.machine.cores import computing, prepare_torch
from tests import layered

F64 = torch.float64


def _random(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> torch.Tensor:
    return torch.rand(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (F64, 1e-10)])
def test_the_collapsed_generator_is_the_layered_one(dtype: torch.dtype, tolerance: float) -> None:
    """Outputs, kernels and gradients of all weights, two regions at once, random weights of ordinary size."""
    filters, _, _ = initial_weights([1, 2], "cpu", dtype)
    filters = [f * 5 for f in filters]
    crops, pull = _random(2, 3, 64, 64, dtype=dtype), _random(2, 3, 26, 26, seed=1, dtype=dtype)
    generator = Composition(filters)
    rows = row_patches(crops)
    ours = generator.gradients(downscale_gradient(pull, rows, torch.zeros_like(rows)))

    for region in range(2):
        layers = [f[region].clone().requires_grad_() for f in filters]
        expected = layered.generate(layers, crops[region])
        assert _relative(downscale(generator.kernel, rows)[region], expected) < tolerance
        assert _relative(generator.kernel[region], layered.impulse_response(layers).flatten()) < tolerance
        theirs = torch.autograd.grad((expected * pull[region]).sum(), layers)
        for a, b in zip(ours, theirs, strict=True):
            assert _relative(a[region], b) < tolerance


def test_the_batched_discriminator_is_the_layered_one() -> None:
    """Against torch's own convolutions, spectral norm and batch norm, pass by pass; two regions, two passes."""
    _, weights, vectors = initial_weights([3, 4], "cpu", F64)
    weights["offsets"] += 0.1 * _random(*weights["offsets"].shape)
    crops, pull = _random(2, 2, 3, 26, 26), _random(400, 2, 2, seed=1)
    started = {name: v.clone() for name, v in vectors.items()}
    call = Discrimination(crops, weights, vectors)
    ours, to_crops = call.weight_gradients(pull), call.crop_gradients(pull)
    for region in range(2):
        network = layered.discriminator(weights, started, region)
        before_sigmoid = network[:-1]
        inputs = crops[region].clone().requires_grad_()
        loss = torch.zeros((), dtype=F64)
        for p in range(2):
            x = before_sigmoid(inputs[p].unsqueeze(0)).flatten()
            layered.hold_vectors(network)  # the first pass advances it, the second must see the same weights
            assert torch.allclose(call.verdict[:, region, p], torch.sigmoid(x), atol=1e-10)
            loss = loss + (x * pull[:, region, p]).sum()
        loss.backward()
        assert _relative(to_crops[region], inputs.grad) < 1e-9
        _compare(ours, region, network)


def _compare(ours: dict[str, torch.Tensor], region: int, network: nn.Sequential) -> None:
    """Gradients of all of a region's weights with those that automatic differentiation left in the layers."""
    assert set(ours) == {*MATRICES, "scales", "offsets", "bias"}
    convolutions = [m for m in network if isinstance(m, nn.Conv2d)]
    for mine, convolution in zip(layered.matrices(ours, region), convolutions, strict=True):
        assert _relative(mine, convolution.weight_orig.grad.flatten(1)) < 1e-9
    norms = [m for m in network if isinstance(m, nn.BatchNorm2d)]
    assert _relative(ours["scales"][region], torch.stack([m.weight.grad for m in norms])) < 1e-9
    assert _relative(ours["offsets"][region], torch.stack([m.bias.grad for m in norms])) < 1e-9
    assert _relative(ours["bias"][region], convolutions[-1].bias.grad) < 1e-9


def _relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(((a - b).abs().max() / b.abs().max()).detach())


@pytest.mark.parametrize("shaped", [0.0, 1.0])
def test_gradients_of_the_penalties(shaped: float) -> None:
    penalties = Penalties(3, PRESETS["paper"], "cpu", F64)
    penalties.shaped.fill_(shaped)
    kernel = (_random(3, 169) + 0.3).requires_grad_()
    (expected,) = torch.autograd.grad(penalties.value(kernel).sum(), kernel)
    assert _relative(penalties.gradient(kernel.detach()), expected) < 1e-9


def test_the_schedule_is_each_regions_own() -> None:
    """The bicubic weight falls by 100 at a period's end once the error was below 0.4 three times running, of a kernel
    that has taken off."""
    settings = replace(PRESETS["paper"], iterations=60)  # a period of 4
    penalties = Penalties(3, settings, "cpu")
    for iteration in range(12):
        penalties.advance(torch.tensor([[0.1], [0.5], [0.1]]), torch.tensor([[1.0], [1.0], [0.05]]), iteration)
        expected = [5.0, 0.05, 5e-4, 5e-6][(iteration + 1) // 4]
        assert penalties.weight.flatten().tolist() == pytest.approx([expected, 5.0, 5.0])
        assert penalties.shaped.flatten().tolist() == [float(expected < 5e-3), 0.0, 0.0]
    penalties.start_again(0)
    assert penalties.weight.flatten().tolist() == [5.0] * 3
    assert not penalties.shaped.any()


def test_a_training_step_is_the_layered_one() -> None:
    """Both networks' gradients of a whole iteration against automatic differentiation of the layers."""
    settings = PRESETS["paper"]
    filters, weights, vectors = initial_weights([5], "cpu", F64)
    filters = [f * 5 for f in filters]
    reference = layered.Training(filters, weights, vectors, 0, settings)
    coarse, real, noise = _random(3, 64, 64), _random(3, 26, 26, seed=1), 0.01 * _random(3, 26, 26, seed=2)
    penalties = Penalties(1, settings, "cpu", F64)
    rows = row_patches(coarse.unsqueeze(0))
    reduced = downscale(penalties.bicubic, rows)
    ours = generator_gradients(
        Composition(filters), penalties, rows, reduced, weights, vectors, spread=torch.zeros_like(rows), iteration=0
    )
    reference.step(0, coarse, real, noise, noise)
    for a, f in zip(ours, reference.filters, strict=True):
        assert _relative(a[0], f.grad) < 1e-9
    assert torch.equal(penalties.weight, reference.penalties.weight)

    fake = layered.generate([f.detach() for f in reference.filters], coarse)
    found = discriminator_gradients((real + noise)[None], (fake + noise)[None], weights, vectors)
    _compare(found, 0, reference.discriminator)


def test_the_first_iterations_are_those_of_the_layered_networks(picture: np.ndarray) -> None:
    """The whole loop in single precision: crops, noise, both optimisers, the falls of the rate.

    The kernels differ by 4e-4 of their largest value; with a discriminator that stays as it was they would by 0.9.
    Later rounding wins: this training is chaotic.
    """
    settings = replace(PRESETS["fast"], iterations=8)  # the rate falls at 2, 4 and 6, a period of the penalties is 1
    one = problem(picture, whole(picture.shape[:2]), 0, settings)
    reference = layered.Training(*initial_weights([one.weight_seed], "cpu"), 0, settings)
    noise = torch.randn((64, 2, 3, 26, 26), generator=torch.Generator().manual_seed(one.noise_seed))
    pixels = torch.from_numpy(one.image.transpose(2, 0, 1) * 2 - 1)
    with computing():
        prepare_torch()  # denormals, of which there are many at first, would take it three times as long
        for iteration in range(8):
            if iteration in (2, 4, 6):
                for optimiser in reference.optimisers:
                    optimiser.param_groups[0]["lr"] /= 10
            (top, left), (fine_top, fine_left) = one.generator_crops[iteration], one.discriminator_crops[iteration]
            reference.step(
                iteration,
                pixels[:, top : top + 64, left : left + 64],
                pixels[:, fine_top : fine_top + 26, fine_left : fine_left + 26],
                noise[iteration, 0] * 2 / 255,
                noise[iteration, 1] / 255,
            )
    expected = layered.impulse_response([f.detach() for f in reference.filters]).numpy()
    (found,) = train([one], settings)
    assert np.abs(found - expected).max() < 0.02 * np.abs(expected).max()


def test_it_learns_a_kernel(coffee: ImageSpec) -> None:
    """Preset `fast` on a detail of a photograph: 20.9 to 22.0 dB with six seeds, where a bicubic kernel has 17.3.

    Untrained, or with a generator that does not learn, the kernel sums to zero and is refused. That the discriminator
    learns this cannot tell: without it the penalties find a kernel of this size too (21 to 23 dB). The check against
    the spectrum is left out: it refuses one of the six.
    """
    low, truth = load_low(coffee)[36:164, 86:214], true_kernel(coffee, whole(coffee.shape))
    assert truth is not None
    part = KernelGan(replace(PRESETS["fast"], against_spectrum=False))
    found = part.estimate(low, whole(low.shape[:2]), 2, Context(seed=0))
    assert kernels.kernel_psnr(kernels.bicubic(2), truth.array, 2) < 17.5
    assert kernels.kernel_psnr(found.array, truth.array, 2) > 19.4
    assert found.model_error > 1


def test_the_discriminator_learns_to_tell_a_picture_from_another(coffee: ImageSpec) -> None:
    """After 100 steps it gives a photograph 0.74 and noise 0.10; before, 0.43 and 0.42."""
    rng = np.random.default_rng(0)
    low = load_low(coffee)[36:164, 86:214]
    real, fake = (
        torch.from_numpy(np.ascontiguousarray(p.transpose(2, 0, 1), np.float32)) * 2 - 1
        for p in (low, rng.random(low.shape))
    )
    _, weights, vectors = initial_weights([0], "cpu")
    optimiser = torch.optim.Adam(list(weights.values()), lr=PRESETS["fast"].learning_rate, betas=(0.5, 0.999))

    def crops() -> list[torch.Tensor]:
        top, left = rng.integers(0, 102, 2)
        return [picture[:, top : top + 26, left : left + 26].unsqueeze(0) for picture in (real, fake)]

    def verdicts() -> np.ndarray:
        held = {name: v.clone() for name, v in vectors.items()}
        calls = [Discrimination(torch.stack(crops(), dim=1), weights, held) for _ in range(20)]
        return np.mean([call.verdict.mean(dim=(0, 1)).numpy() for call in calls], axis=0)

    before = verdicts()
    for _ in range(100):
        for name, gradient in discriminator_gradients(*crops(), weights, vectors).items():
            weights[name].grad = gradient
        optimiser.step()
    on_real, on_fake = verdicts()
    assert abs(before[0] - before[1]) < 0.05
    assert on_real - on_fake > 0.3


@pytest.mark.parametrize("threads", [1, 2])
def test_a_region_does_not_depend_on_its_batch(picture: np.ndarray, threads: int) -> None:
    """Gradients of each of three regions, alone and together; in double precision, because a sign that rounding turns
    before a ReLU changes them by percents."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        filters, weights, vectors = initial_weights([1, 2, 3], "cpu", F64)
        filters = [f * 5 for f in filters]
        crops = torch.stack(
            [torch.from_numpy(np.roll(picture, s, 1)[:64, :64].transpose(2, 0, 1)) for s in (0, 9, 30)]
        ).double()
        real, noise = crops[..., 20:46, 20:46], 0.01 * _random(3, 3, 26, 26)

        def gradients(which: slice) -> list[torch.Tensor]:
            part, their = [f[which] for f in filters], {name: w[which] for name, w in weights.items()}
            penalties = Penalties(len(part[0]), PRESETS["paper"], "cpu", F64)
            rows = row_patches(crops[which])
            reduced = downscale(penalties.bicubic.expand(len(rows), -1), rows)
            states = {name: v[which].clone() for name, v in vectors.items()}  # moved on in place
            found = generator_gradients(
                Composition(part), penalties, rows, reduced, their, states, torch.zeros_like(rows), iteration=0
            )
            fake = downscale(Composition(part).kernel, rows)
            other = discriminator_gradients(real[which] + noise[which], fake + noise[which], their, states)
            return [*found, *other.values()]

        together = gradients(slice(None))
        for region in range(3):
            for ours, alone in zip(together, gradients(slice(region, region + 1)), strict=True):
                assert _relative(ours[region], alone[0]) < 1e-6
    finally:
        torch.set_num_threads(before)


def test_a_region_draws_the_same_in_any_batch(picture: np.ndarray) -> None:
    """Crops and noise are the region's own: alone and together the first steps lead to the same kernel, but for
    rounding, while another seed leads elsewhere."""
    settings = replace(PRESETS["paper"], iterations=5)
    problems = [problem(np.roll(picture, s, 1), whole(picture.shape[:2]), 0, settings) for s in (0, 9, 30)]
    together = train(problems, settings)
    for one, ours in zip(problems, together, strict=True):
        alone = train([one], settings)[0]
        other = train([replace(one, weight_seed=one.weight_seed + 1)], settings)[0]
        assert np.abs(ours - alone).max() < 0.05 * np.abs(ours - other).max()


def test_training_is_repeatable_and_seeded(picture: np.ndarray) -> None:
    settings = replace(PRESETS["paper"], iterations=3)
    one, again, other = (
        train([problem(picture, whole(picture.shape[:2]), seed, settings)], settings)[0] for seed in (0, 0, 1)
    )
    assert np.array_equal(one, again)
    assert not np.allclose(one, other, rtol=0.1)


def test_who_has_not_taken_off_starts_again(picture: np.ndarray) -> None:
    """With fresh weights, the same in any batch; who has is left as it is."""
    settings = PRESETS["paper"]
    problems = [problem(np.roll(picture, s, 1), whole(picture.shape[:2]), 0, settings) for s in (0, 9)]

    def begun(which: slice, grounded: int) -> list[torch.Tensor]:
        training = Training(problems[which], settings, "cpu")
        with torch.no_grad():
            training.batch.draw_noise()
            training.step()  # gives the optimisers their moments
            for filter_ in training.filters:
                filter_.fill_(0.05)  # a sum far above nothing
            training.filters[0][grounded] = 0
            before = [part.clone() for part in training.filters]
            training.start_again()
        changed = [not torch.equal(a[grounded], b[grounded]) for a, b in zip(before, training.filters, strict=True)]
        assert all(changed)
        for other in {0, len(before[0]) - 1} - {grounded}:
            assert all(torch.equal(a[other], b[other]) for a, b in zip(before, training.filters, strict=True))
        return [part[grounded] for part in (*training.filters, *training.weights.values())]

    for together, alone in zip(begun(slice(None), 1), begun(slice(1, 2), 0), strict=True):
        assert torch.equal(together, alone)


def test_a_region_that_diverges_fails_alone(picture: np.ndarray) -> None:
    settings = replace(PRESETS["paper"], iterations=3)
    good = problem(picture, whole(picture.shape[:2]), 0, settings)
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
    for raw in (np.full((13, 13), np.nan), np.zeros((13, 13))):
        with pytest.raises(KernelError, match=f"{raw.sum():.2f}"):
            post_process(raw)


def test_an_image_smaller_than_a_crop_is_refused() -> None:
    with pytest.raises(RegionError, match=r"200x60.* 64"):
        problem(np.zeros((60, 200, 3), np.float32), Region("whole", np.ones((60, 200), bool)), 0, PRESETS["fast"])
