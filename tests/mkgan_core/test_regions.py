from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mkgan_core import regions
from mkgan_core.compose import compose
from mkgan_core.errors import RegionError
from mkgan_core.regions import Region, blocky, enlarge_mask, partition

SHAPE = (24, 30)
MASKS = st.lists(arrays(bool, SHAPE), max_size=4)


@settings(max_examples=60, deadline=None)
@given(masks=MASKS, floor=st.integers(1, 500), scale=st.sampled_from([2, 4]))
def test_any_masks_give_a_partition(masks: list[np.ndarray], floor: int, scale: int) -> None:
    parts = partition({f"m{i}": mask for i, mask in enumerate(masks)}, SHAPE, floor)
    assert np.array_equal(np.sum([p.mask for p in parts], axis=0), np.ones(SHAPE))
    assert len(parts) == 1 or min(p.area for p in parts) >= floor
    for part in parts:
        assert np.array_equal(enlarge_mask(part.mask, scale)[::scale, ::scale], part.mask)


@settings(max_examples=40, deadline=None)
@given(masks=MASKS, scale=st.sampled_from([2, 4]), value=st.floats(0, 1, width=32))
def test_composing_constant_images_gives_the_constant(masks: list[np.ndarray], scale: int, value: float) -> None:
    parts = partition({f"m{i}": mask for i, mask in enumerate(masks)}, SHAPE, 20)
    pieces = []
    for part in parts:
        top, left, bottom, right = part.box
        pieces.append((part, np.full(((bottom - top) * scale, (right - left) * scale, 3), value, np.float32)))
    whole = compose(pieces, scale)
    assert whole.shape == (SHAPE[0] * scale, SHAPE[1] * scale, 3)
    assert np.all(whole == np.float32(value))


@given(mask=arrays(bool, (40, 54)))
def test_blocky_masks_are_constant_on_a_coarse_grid(mask: np.ndarray) -> None:
    coarse = blocky(mask)
    assert coarse.shape == mask.shape
    assert np.array_equal(blocky(coarse), coarse)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(RegionError, match=r"\(3, 3\).*\(24, 30\)"):
        partition({"object": np.ones((3, 3), bool)}, SHAPE)


@pytest.mark.parametrize("mask", [np.zeros(SHAPE, bool), np.ones(SHAPE, bool)])
def test_an_empty_or_full_mask_is_the_whole_image(mask: np.ndarray) -> None:
    (part,) = partition({"object": mask}, SHAPE, 10)
    assert part.is_whole


def test_composition_refuses_gaps_and_wrong_sizes() -> None:
    half = np.zeros(SHAPE, bool)
    half[:12] = True
    with pytest.raises(RegionError, match="belong to no region"):
        compose([(Region("object", half), np.zeros((24, 60, 3), np.float32))], 2)
    with pytest.raises(RegionError, match="its box needs"):
        compose([(Region("object", half), np.zeros((24, 59, 3), np.float32))], 2)


def test_texture_is_told_from_flat() -> None:
    from mkgan_core.segmenters.texture import FftTexture, TextureSettings

    rng = np.random.default_rng(0)
    image = np.full((200, 300, 3), 0.5, np.float32)
    image[:, 150:] += 0.3 * rng.standard_normal((200, 150, 1)).astype(np.float32)
    image += 0.005 * rng.standard_normal(image.shape).astype(np.float32)
    mask = FftTexture(TextureSettings()).masks(image, {})["object"]
    assert mask[:, 170:].mean() > 0.95
    assert mask[:, :130].mean() < 0.05
    assert FftTexture(TextureSettings()).masks(np.full((200, 300, 3), 0.5, np.float32), {}) == {}
    assert regions.partition({"object": mask}, (200, 300))[0].name == "object"
