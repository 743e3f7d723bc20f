"""The page of enlarged photographs in headless Chromium, from the file system, with the network cut off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mkgan_core.imaging import kernels
from mkgan_core.imaging.kernels import Kernel
from mkgan_core.imaging.regions import Region
from mkgan_core.reports.photo_page import Enlarged, PhotoPage
from tests.e2e.slider import divide, drag


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A photograph in two regions, and a tall one with a long name."""
    rng = np.random.default_rng(0)
    made = PhotoPage(2)
    for name, shape in (("photo.png", (300, 400, 3)), ("a-name-without-any-space-" * 4, (900, 300, 3))):
        before = rng.integers(0, 255, shape, np.uint8)
        mask = np.zeros(shape[:2], bool)
        mask[50:200, 50:200] = True
        regions = [Region("object", mask), Region("background", ~mask)]
        after = before.repeat(2, axis=0).repeat(2, axis=1)
        blurs = [Kernel(kernels.bicubic(2))] * 2
        made.add(Enlarged(name, before, after, "multi-auto+zssr", "fast", 0, 12.0, regions, blurs, ["a note"]))
    file = tmp_path_factory.mktemp("photos") / "page.html"
    made.write(file)
    return file


def open_page(chromium: Any, page: Path, complaints: list[str], **options: Any) -> Any:
    tab = chromium.new_context(offline=True, **options).new_page()
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(page.as_uri())
    return tab


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (390, "dark")])
def test_the_slider(chromium: Any, page: Path, width: int, scheme: str) -> None:
    complaints: list[str] = []
    tab = open_page(chromium, page, complaints, viewport={"width": width, "height": 800}, color_scheme=scheme)
    slider = tab.locator(".slider").first
    slider.scroll_into_view_if_needed()
    assert divide(slider) == pytest.approx(50, abs=0.5)
    drag(tab, slider, 0.2)
    assert divide(slider) == pytest.approx(20, abs=2)
    slider.locator("input[type=range]").focus()
    tab.keyboard.press("End")
    assert divide(slider) == pytest.approx(100)
    layer = slider.locator("img.layer")
    assert not layer.is_visible()
    tab.get_by_label("regions").first.check()
    assert layer.is_visible()
    loaded = "(image) => image.decode().then(() => image.naturalWidth)"
    assert {slider.locator("img").nth(n).evaluate(loaded) for n in range(3)} == {800}
    # nothing is wider than the window, no picture is higher
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert all(each["height"] <= 800 for each in (s.bounding_box() for s in tab.locator(".slider").all()))
    colours = [tab.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color")]
    page_colour, ink = ([int(value) for value in colour[4:-1].split(",")] for colour in colours)
    assert (sum(page_colour) > sum(ink)) == (scheme == "light")
    assert complaints == []
    tab.context.close()


def test_without_javascript_both_stand_beside_each_other(chromium: Any, page: Path) -> None:
    tab = open_page(chromium, page, [], viewport={"width": 1200, "height": 800}, java_script_enabled=False)
    before, after = (tab.locator(f"img.{name}").first.bounding_box() for name in ("before", "after"))
    assert before["width"] == after["width"] > 300
    assert before["y"] == after["y"]
    assert before["x"] + before["width"] <= after["x"]
    tab.context.close()
