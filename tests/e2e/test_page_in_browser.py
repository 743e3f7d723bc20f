"""The report's page in headless Chromium, from the file system, with the network cut off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mkgan_core.datasets.file_names import image_files
from mkgan_core.datasets.kernel_laws import random_kernel
from mkgan_core.imaging.degradation import degrade
from mkgan_core.machine.storage import Store
from mkgan_core.reports import page, runs
from tests.drive import benchmark
from tests.e2e.slider import divide, drag

METHODS = ["bicubic", "bicubic+back-projection", "given/ground-truth+back-projection"]
IMAGES = 24


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of two dozen images, so that some lie far below the window."""
    folder = tmp_path_factory.mktemp("browser")
    store = Store(str(folder / "set"))
    mask = np.zeros((256, 240), bool)
    mask[:, :120] = True
    for n in range(IMAGES):
        rng = np.random.default_rng(n)
        coarse = Image.fromarray(rng.integers(0, 255, (32, 30, 3), np.uint8)).resize(
            (240, 256), Image.Resampling.BICUBIC
        )
        high, kernel = np.asarray(coarse, np.float32) / 255, random_kernel(rng, 2)
        for name, data in image_files(
            f"im_{n}", high, {2: degrade(high, kernel, 2)}, {2: {"background": kernel}}, mask
        ):
            store.write(name, data)
    run = runs.open_run(benchmark(folder / "set", str(folder / "store"), METHODS), "memory://unused")
    page.write(run, folder / "page.html")
    return folder / "page.html"


@pytest.fixture
def tab(chromium: Any, report: Path) -> Iterator[Any]:
    """The page, opened; at the end it must have asked for nothing but itself and complained about nothing."""
    context = chromium.new_context(viewport={"width": 1200, "height": 900}, offline=True)
    tab = context.new_page()
    complaints, requests = [], []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("request", lambda request: requests.append(request.url))
    tab.goto(report.as_uri())
    tab.wait_for_selector(".slider")
    yield tab
    assert complaints == []
    assert {url for url in requests if not url.startswith("data:")} == {report.as_uri()}
    context.close()


def test_the_slider_moves_by_mouse_and_by_keyboard(tab: Any) -> None:
    slider = tab.locator(".slider").first
    slider.scroll_into_view_if_needed()
    assert divide(slider) == pytest.approx(50, abs=0.5)
    drag(tab, slider, 0.2)
    assert divide(slider) == pytest.approx(20, abs=2)
    clip = tab.evaluate("getComputedStyle(document.querySelector('.slider .right')).clipPath")
    assert clip == f"inset(0px 0px 0px {round(divide(slider))}%)"
    handle = slider.locator("input[type=range]")
    handle.focus()
    before = divide(slider)
    for _ in range(3):
        tab.keyboard.press("ArrowRight")
    assert divide(slider) == pytest.approx(before + 3, abs=0.1)
    tab.keyboard.press("End")
    assert divide(slider) == pytest.approx(100)
    assert "border between bicubic and given/ground-truth+back-projection" in handle.get_attribute("aria-label")


def test_the_slider_shows_what_is_chosen(tab: Any) -> None:
    card = tab.locator(".card").first
    left, right = card.locator(".choose select").nth(0), card.locator(".choose select").nth(1)
    assert left.locator("option").all_inner_texts() == [*METHODS, "truth"]
    pictures = card.locator(".slider img")
    shown = pictures.nth(1).get_attribute("src")
    right.select_option("truth")
    assert pictures.nth(1).get_attribute("src") != shown
    assert card.locator(".tag.r").inner_text() == "truth"
    loaded = "(image) => image.decode().then(() => image.naturalWidth)"
    assert pictures.nth(0).evaluate(loaded) == pictures.nth(1).evaluate(loaded) == 240


def test_regions_can_be_shown(tab: Any) -> None:
    card = tab.locator(".card").first
    layer = card.locator(".slider img.regions")
    assert not layer.is_visible()
    card.get_by_label("regions").check()
    assert layer.is_visible()
    assert card.locator(".kernels figure").count() == 2  # the true one and bicubic's; ground-truth's is the true one


def test_filter_by_image_and_by_method(tab: Any) -> None:
    tab.get_by_label("Images").fill("im_1")
    expected = [n for n in range(IMAGES) if "im_1" in f"im_{n}"]
    assert tab.locator(".card:visible").count() == len(expected)
    assert tab.locator("#count").inner_text() == f"{len(expected)} of {IMAGES} images"
    tab.get_by_label("Images").fill("im_3 im_5")
    assert tab.locator(".card:visible h3").all_text_contents() == ["im_3", "im_5"]
    tab.wait_for_selector(".card:visible .details figure")
    tab.locator("#methods").get_by_label("bicubic+back-projection", exact=True).uncheck()
    assert tab.locator(".card:visible tr[data-method='bicubic+back-projection']:visible").count() == 0
    assert tab.locator("#comparison tr:visible").count() == 3
    captions = tab.locator(".card:visible").first.locator(".details figcaption:visible").all_text_contents()
    assert captions == ["bicubic", "given/ground-truth+back-projection", "truth"]
    tab.get_by_label("Images").fill("")
    assert tab.locator(".card:visible").count() == IMAGES


def test_pairs_can_be_chosen(tab: Any) -> None:
    assert tab.locator(".pair:visible").count() == 1
    tab.get_by_label("Pair").select_option(index=1)
    assert tab.locator(".pair:visible").count() == 1
    assert tab.locator(".pair:visible").get_attribute("id") == "pair-2"
    wide = "(image) => image.decode().then(() => image.naturalWidth)"
    assert tab.locator(".pair:visible img").evaluate(wide) > 100


def test_few_pictures_are_there_at_a_time(tab: Any) -> None:
    """Images far from the window have no picture elements; coming near they get them, going away they lose them."""
    mounted = "[...document.querySelectorAll('.card')].filter((c) => c.querySelector('.slider')).length"
    assert 0 < tab.evaluate(mounted) < IMAGES / 2
    last = tab.locator(".card").last
    assert last.locator("img").count() == 0
    last.scroll_into_view_if_needed()
    last.locator(".slider").wait_for()
    tab.wait_for_function("!document.querySelector('.card .slider')?.closest('.card').matches(':first-of-type')")
    assert tab.locator(".card").first.locator("img").count() == 0
    assert tab.evaluate(mounted) < IMAGES / 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark(chromium: Any, report: Path, scheme: str) -> None:
    context = chromium.new_context(color_scheme=scheme, offline=True)
    tab = context.new_page()
    tab.goto(report.as_uri())
    page_colour, ink = (
        tab.evaluate(f"getComputedStyle(document.body).{name}.match(/\\d+/g).map(Number)")
        for name in ("backgroundColor", "color")
    )
    assert (sum(page_colour) > sum(ink)) == (scheme == "light")
    context.close()
