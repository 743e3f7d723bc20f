"""The report's page in headless Chromium, from the file system, with the network cut off."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
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
from mkgan_core.reports.ranking import natural_pairs
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
            f"im_{n}", high, {2: degrade(high, kernel, 2)}, {2: {"background": kernel}}, {"object": mask}
        ):
            store.write(name, data)
    run = runs.open_run(benchmark(folder / "set", str(folder / "store"), METHODS), "memory://unused")
    page.write(run, folder / "page.html")
    rows = run.rows.assign(psnr_y=run.rows["psnr_y"] + 9 * (run.rows["method"] == METHODS[1]))
    page.write(replace(run, rows=rows).with_pairs(natural_pairs(rows)), folder / "better.html")
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
    assert "border between input and bicubic" in handle.get_attribute("aria-label")


def test_the_slider_shows_what_is_chosen(tab: Any) -> None:
    card = tab.locator(".card").first
    left, right = card.locator(".choose select").nth(0), card.locator(".choose select").nth(1)
    assert left.locator("option").all_inner_texts() == ["input", *METHODS, "truth"]
    assert (left.input_value(), right.input_value()) == ("input", "bicubic")  # here nothing blind is better
    pictures = card.locator(".slider img")
    shown = pictures.nth(1).get_attribute("src")
    right.select_option("truth")
    assert pictures.nth(1).get_attribute("src") != shown
    assert card.locator(".tag.r").inner_text() == "truth"
    left.select_option("input")
    image = card.get_attribute("data-image")
    assert [picture.get_attribute("alt") for picture in pictures.all()[:2]] == [f"{image}, input", f"{image}, truth"]
    loaded = "(image) => image.decode().then(() => image.naturalWidth)"
    assert pictures.nth(0).evaluate(loaded) == pictures.nth(1).evaluate(loaded) == 240


def test_the_slider_starts_with_bicubic_and_the_best_blind_method(chromium: Any, report: Path) -> None:
    tab = chromium.new_page()
    tab.goto((report.parent / "better.html").as_uri())
    tab.wait_for_selector(".slider")
    shown = [select.input_value() for select in tab.locator(".card").first.locator(".choose select").all()]
    assert shown == ["bicubic", METHODS[1]]
    assert tab.locator("#pair option").first.inner_text() == f"{METHODS[1]} − bicubic"
    best = tab.locator("#comparison tbody tr").nth(1).locator("td.best")
    assert "700" in {cell.evaluate("(cell) => getComputedStyle(cell).fontWeight") for cell in best.all()}
    assert tab.locator("#comparison .badge").count() == 1
    tab.close()


def test_regions_can_be_shown(tab: Any) -> None:
    card = tab.locator(".card").first
    layer = card.locator(".slider img.regions")
    assert not layer.is_visible()
    card.get_by_label("regions").check()
    assert layer.is_visible()
    assert "object" in card.locator(".legend:visible").inner_text()
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
    assert captions == ["input", "bicubic", "given/ground-truth+back-projection", "truth"]
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


def order(tab: Any) -> list[str]:
    return [line.get_attribute("data-method") for line in tab.locator("#comparison tbody tr").all()]


def test_columns_sort_by_click_and_by_keyboard(tab: Any) -> None:
    def column(name: str) -> list[float]:
        at = tab.locator("#comparison thead th").all_text_contents().index(name)
        lines = tab.locator("#comparison tbody tr").all()
        return [float(line.locator("th, td").nth(at).get_attribute("data-value") or "nan") for line in lines]

    assert order(tab) == METHODS
    heading = tab.locator("#comparison").get_by_role("button", name="PSNR Y")
    heading.click()  # the best first
    assert column("PSNR Y") == sorted(column("PSNR Y"), reverse=True)
    assert heading.locator("..").get_attribute("aria-sort") == "descending"
    heading.click()
    assert column("PSNR Y") == sorted(column("PSNR Y"))
    tab.locator("#comparison").get_by_role("button", name="s/image").focus()
    tab.keyboard.press("Enter")
    assert column("s/image") == sorted(column("s/image"))
    assert tab.locator("#comparison [aria-sort]").count() == 1
    tab.locator("#comparison").get_by_role("button", name="kernel PSNR").focus()
    tab.keyboard.press(" ")
    assert order(tab)[-1] == "bicubic"  # it has none


def test_on_a_phone_the_first_column_stays_and_figures_are_seen(chromium: Any, report: Path) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, offline=True)
    tab = context.new_page()
    tab.goto(report.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    for name in ("PSNR Y", "vs bicubic", "s/image"):
        box = tab.locator("#comparison").get_by_role("button", name=name).bounding_box()
        assert box["x"] + box["width"] <= 390, name
    first = tab.locator("#comparison tbody th").last
    before = first.bounding_box()
    tab.evaluate("document.querySelector('#comparison').parentElement.scrollLeft = 1000")
    assert first.bounding_box()["x"] == before["x"]
    last = tab.locator("#comparison thead th").last.bounding_box()
    assert before["x"] + before["width"] <= last["x"] < last["x"] + last["width"] <= 390
    tab.locator(".card").first.scroll_into_view_if_needed()
    tab.wait_for_selector(".slider")
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    context.close()


def test_no_picture_is_blank_in_print(chromium: Any, report: Path) -> None:
    context = chromium.new_context(viewport={"width": 1200, "height": 900}, color_scheme="dark", offline=True)
    tab = context.new_page()
    tab.goto(report.as_uri())
    before = tab.locator(".card .slider").count()
    assert before < IMAGES
    tab.emulate_media(media="print")
    last = tab.locator(".card .slider").nth(IMAGES - 1)
    last.wait_for(state="attached")
    blank = "[...document.images].filter((i) => i.offsetParent && !(i.complete && i.naturalWidth)).length"
    assert tab.evaluate(blank) == 0
    assert tab.evaluate("[...document.images].filter((i) => i.src && !i.alt).length") == 0
    slider = tab.locator(".slider").first
    boxes = [slider.locator("img").nth(n).bounding_box() for n in range(2)]
    assert boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]  # beside each other, both whole
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not tab.locator(".filter").is_visible()
    tab.emulate_media(media="screen")
    last.wait_for(state="detached")
    pictures = tab.pdf().count(b"/Subtype /Image")
    assert pictures >= IMAGES * 2  # at least the slider's two
    context.close()


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
