from __future__ import annotations

import pytest

from mkgan_core.errors import ConfigError, DatasetError
from mkgan_core.machine import memory


@pytest.mark.parametrize(
    ("text", "expected"),
    [("3G", 3 * 2**30), ("3 GB", 3 * 2**30), ("800M", 800 * 2**20), ("1.5", 3 * 2**29), ("2GiB", 2**31)],
)
def test_sizes(text: str, expected: int) -> None:
    assert memory.parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "much", "-3G", "0", "3T", "nan"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ConfigError):
        memory.parse_size(text)


def test_room_is_what_the_process_has_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    assert 0 < memory.room() < memory.limit()
    memory.limit_memory(None)
    monkeypatch.setenv(memory.VARIABLE, "1M")
    assert (memory.limit(), memory.room()) == (2**20, 0)


def test_what_cannot_fit_is_refused_only_where_a_bound_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(memory.VARIABLE, raising=False)
    memory.check_fits("photo", (100_000, 100_000), 4, 16)
    monkeypatch.setenv(memory.VARIABLE, "3G")
    memory.check_fits("photo", (4000, 6000), 2, 8)
    with pytest.raises(DatasetError, match="photo"):
        memory.check_fits("photo", (4000, 6000), 4, 16)
