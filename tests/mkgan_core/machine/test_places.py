from __future__ import annotations

from pathlib import Path

import pytest

from mkgan_core.machine import places


@pytest.mark.parametrize(
    ("checkout", "variables", "expected"),
    [
        (True, {"MKGAN_HOME": "/somewhere"}, "/somewhere"),
        (True, {"XDG_DATA_HOME": "/data"}, str(places.CODE / "data")),
        (False, {"MKGAN_HOME": "/somewhere", "XDG_DATA_HOME": "/data"}, "/somewhere"),
        (False, {"XDG_DATA_HOME": "/data"}, "/data/mkgan"),
        (False, {"HOME": "/home/someone"}, "/home/someone/.local/share/mkgan"),
    ],
)
def test_home(checkout: bool, variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a checkout, and of what `pip` installed."""
    for name in ("MKGAN_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(places, "IN_CHECKOUT", checkout)
    assert places.home() == Path(expected)
