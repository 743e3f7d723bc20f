from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mkgan_core.errors import RegionError
from mkgan_core.imaging.regions import Region, compose, enlarge_mask, feather_weights
from mkgan_core.segmenters import rules
from mkgan_core.segmenters.rules import AS_DRAWN, Rules, blocky, from_masks, largest_piece, partition, tidy

SHAPE = (24, 30)
MASKS = st.lists(arrays(bool, SHAPE), max_size=4)
RULES = st.builds(
    Rules,
    speck=st.integers(0, 60),
    thin=st.sampled_from([0.0, 3.0]),
    largest_only=st.booleans(),
    block_ratio=st.sampled_from([None, 0.15, 0.4]),
    min_area=st.integers(1, 500),
)


@st.composite
def rough_masks(draw: st.DrawFn) -> list[np.ndarray]:
    """Masks like those of networks: blobs, rectangles, noise, nothing, everything."""
    masks = []
    for _ in range(draw(st.integers(0, 4))):
        mask = draw(st.sampled_from([np.zeros(SHAPE, bool), np.ones(SHAPE, bool)])).copy()
        for _ in range(draw(st.integers(0, 3))):
            top, left = draw(st.integers(0, 23)), draw(st.integers(0, 29))
            mask[top : top + draw(st.integers(1, 24)), left : left + draw(st.integers(1, 30))] ^= True
        if draw(st.booleans()):
            mask ^= np.random.default_rng(draw(st.integers(0, 99))).random(SHAPE) < 0.1
        masks.append(mask)
    return masks


@settings(max_examples=150, deadline=None)
@given(masks=st.one_of(MASKS, rough_masks()), rules=RULES, scale=st.sampled_from([2, 4]))
def test_any_masks_under_any_rules_give_a_partition(masks: list[np.ndarray], rules: Rules, scale: int) -> None:
    parts = from_masks({f"m{i}": mask for i, mask in enumerate(masks)}, SHAPE, rules)
    assert np.array_equal(np.sum([p.mask for p in parts], axis=0), np.ones(SHAPE))
    assert len(parts) == 1 or min(p.area for p in parts) >= rules.min_area
    assert all(p.mask.dtype == bool for p in parts)
    large = [enlarge_mask(part.mask, scale) for part in parts]
    assert np.array_equal(np.sum(large, axis=0), np.ones((SHAPE[0] * scale, SHAPE[1] * scale)))
    for part, mask in zip(parts, large, strict=True):
        assert np.array_equal(mask[::scale, ::scale], part.mask)
        assert mask.sum() == scale**2 * part.area


@settings(max_examples=60, deadline=None)
@given(masks=rough_masks(), rules=RULES, scale=st.sampled_from([2, 4]), width=st.sampled_from([0.5, 2.0, 6.0]))
def test_feathered_regions_of_constant_images_give_the_constant(
    masks: list[np.ndarray], rules: Rules, scale: int, width: float
) -> None:
    parts = from_masks({f"m{i}": mask for i, mask in enumerate(masks)}, SHAPE, rules)
    weights = [feather_weights(part.mask, scale, width) for part in parts]
    assert np.allclose(np.sum(weights, axis=0), 1, atol=1e-5)
    pieces = []
    for part in parts:
        top, left, bottom, right = part.box
        pieces.append((part, np.full(((bottom - top) * scale, (right - left) * scale, 3), 0.3, np.float32)))
    assert np.allclose(compose(pieces, scale, width), 0.3, atol=1e-6)


def test_feathering_blends_across_the_border_and_keeps_the_rest() -> None:
    left = np.zeros(SHAPE, bool)
    left[:, :15] = True
    spot = np.zeros(SHAPE, bool)
    spot[0, 0] = spot[-1, -1] = True  # so that both boxes cover the image
    parts = [(Region("object", left ^ spot), 0.0), (Region("background", ~(left ^ spot)), 1.0)]
    pieces = [(region, np.full((48, 60, 3), value, np.float32)) for region, value in parts]
    row = compose(pieces, 2, 2.0)[24, :, 0]
    assert np.all(np.diff(row) >= 0)
    assert row[20] < 0.01
    assert row[40] > 0.99
    assert np.any((row > 0.2) & (row < 0.8))
    hard = compose(pieces, 2)[24, :, 0]
    assert set(np.unique(hard)) == {0.0, 1.0}


@pytest.mark.parametrize("strip", [7, 100])
def test_uncertain_regions_are_blended_by_their_probability(monkeypatch: pytest.MonkeyPatch, strip: int) -> None:
    monkeypatch.setattr("mkgan_core.imaging.regions.STRIP_ROWS", strip)
    left = np.arange(SHAPE[1])[None].repeat(SHAPE[0], axis=0) < 15
    chance = np.clip((20 - np.arange(SHAPE[1], dtype=np.float32)) / 10, 0, 1)[None].repeat(SHAPE[0], axis=0)
    regions = [Region("object", left, probability=chance), Region("background", ~left, probability=1 - chance)]
    assert [region.box for region in regions] == [(0, 0, 24, 20), (0, 11, 24, 30)]
    pieces = []
    for region, value in zip(regions, (255, 55), strict=True):
        _, first, _, last = region.box
        pieces.append((region, np.full((48, (last - first) * 2, 3), value, np.uint8)))
    assert np.abs(compose(pieces, 2) - (55.0 + 200 * chance.repeat(2, 0).repeat(2, 1))[..., None]).max() <= 0.5


def test_rules_absorb_specks_holes_strands_and_crumbs() -> None:
    mask = np.zeros((60, 80), bool)
    mask[10:50, 10:40] = True
    mask[20:23, 20:23] = False  # a hole
    mask[30, 40:70] = True  # a strand
    mask[5:8, 60:63] = True  # a speck
    rules = Rules(speck=50, thin=6, block_ratio=None, min_area=100)
    expected = np.zeros((60, 80), bool)
    expected[10:50, 10:40] = True
    cleaned = tidy(mask, rules)
    assert cleaned[20:23, 20:23].all()
    assert not cleaned[:, 45:].any()
    assert (cleaned ^ expected).sum() <= 24  # corners are rounded, and the strand leaves a stub
    # what is left between two objects goes to one of them
    left, right = np.zeros((60, 80), bool), np.zeros((60, 80), bool)
    left[:, :40] = True
    right[:, 42:] = True
    left[:20], right[:20] = False, False
    right[20:25, 40:42] = True  # closes the gap below it
    objects = from_masks({"object": left, "object1": right}, (60, 80), Rules(speck=200, block_ratio=None, min_area=100))
    assert [region.name for region in objects] == ["object", "object1", "background"]
    assert not objects[2].mask[20:].any()


def test_the_largest_piece() -> None:
    mask = np.zeros((10, 20), bool)
    mask[:4, :4] = mask[:, 10:] = True
    assert largest_piece(mask)[:, 10:].all()
    assert not largest_piece(mask)[:, :10].any()
    assert not largest_piece(np.zeros((10, 20), bool)).any()


def test_masks_as_drawn_are_left_alone_above_the_floor() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((200, 200)) < 0.5
    drawn = from_masks({"object": mask}, (200, 200), AS_DRAWN)
    assert np.array_equal(drawn[0].mask, mask)


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
    with pytest.raises(RegionError, match="360 "):
        compose([(Region("object", half), np.zeros((24, 60, 3), np.float32))], 2)
    with pytest.raises(RegionError, match=r"\(24, 59, 3\).*\(24, 60, 3\)"):
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
    assert rules.partition({"object": mask}, (200, 300))[0].name == "object"
