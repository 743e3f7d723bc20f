"""One sheet for the same results, whoever draws it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from mkgan_core.machine.storage import Store
from mkgan_core.reports import contact_sheet


def test_two_runs_that_end_together_draw_one_sheet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, draw = [], contact_sheet.contact_sheet

    def slowly(*given: Any) -> bytes:
        drawn.append(given)
        threading.Event().wait(1)  # for the other, who must not begin
        return draw(*given)

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
