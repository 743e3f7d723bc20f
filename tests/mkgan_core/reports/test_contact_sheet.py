"""One sheet for the same results, whoever draws it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mkgan_core.imaging.images import decode
from mkgan_core.machine.storage import Store
from mkgan_core.reports import contact_sheet
from tests.drive import results


def test_two_runs_that_end_together_draw_one_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, draw = [], contact_sheet.contact_sheet

    def slowly(*given: Any, **named: Any) -> bytes:
        drawn.append(given)
        threading.Event().wait(1)  # for the other, who must not begin
        return draw(*given, **named)

    def other() -> None:
        sheets.append(contact_sheet.sheet_of([], Store(str(tmp_path))))

    monkeypatch.setattr(contact_sheet, "contact_sheet", slowly)
    sheets: list[bytes] = []
    threads = [threading.Thread(target=other) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 1
    assert sheets[0] == sheets[1]


def test_title_and_means_stand_above_the_details(dataset_folder: Path, tmp_path: Path) -> None:
    methods = ["bicubic", "bicubic+back-projection", "ground-truth+back-projection"]
    made, store = results(dataset_folder, str(tmp_path), methods), Store(str(tmp_path))
    means = contact_sheet._means(made)
    assert list(means) == methods
    psnrs = {
        name: np.mean([r.composed["psnr_y"] for r in made if r.composed and r.method.name == name]) for name in methods
    }
    assert all(f" {psnrs[name]:.2f} dB" in text for name, text in means.items())
    best = max(methods[:2], key=lambda name: psnrs[name])
    assert [name for name, text in means.items() if "best" in text] == [best]
    assert [name for name, text in means.items() if "oracle" in text] == methods[2:]
    plain, titled = (decode(contact_sheet.sheet_of(made, store, title), "sheet") for title in ("", "tiny x2"))
    assert titled.shape[0] == plain.shape[0] + contact_sheet.LABEL
    assert (titled[contact_sheet.LABEL :] == plain).all()
    assert titled[: contact_sheet.LABEL].min() < 0.5  # something is written there
