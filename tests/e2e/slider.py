"""Moving a page's before/after slider as a person does."""

from __future__ import annotations

from typing import Any


def drag(tab: Any, slider: Any, share: float) -> None:
    """Drag the divide from the middle of the slider to a share of its width."""
    box = slider.bounding_box()
    middle = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + box["width"] / 2, middle)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * share, middle, steps=5)
    tab.mouse.up()


def divide(slider: Any) -> float:
    """Where a slider's border really is, in percent of its width."""
    return slider.evaluate(
        """(slider) => { const box = slider.getBoundingClientRect();
        const line = slider.querySelector('.line').getBoundingClientRect();
        return 100 * (line.left + line.width / 2 - box.left) / box.width; }"""
    )
