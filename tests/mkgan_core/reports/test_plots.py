"""Plots of methods and images whose names are not what fonts expect."""

from __future__ import annotations

import warnings

import pandas as pd
import pytest

from mkgan_core.reports import plots


@pytest.mark.parametrize("name", ["x\x03y+zssr", "照片+zssr", "$a_b$"])
def test_no_name_makes_a_plot_warn(name: str) -> None:
    rows = pd.DataFrame(
        [{"method": name, "image": name, "scale": 2, "status": "ok", "seconds_total": 1.0, "psnr_y": 30.0}]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn = plots.psnr_over_seconds(rows, plots.colours([name]))
    assert b"\x03" not in drawn
