"""Whatever `mkgan` is given: exit code 0, 1 or 2, no traceback, no warning, and a refusal names what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import fuzz

EXAMPLES = 40  # of each kind; `make soak` tries thousands


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_no_input_breaks_a_command(root: Path, kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MKGAN_HOME", str(tmp_path))
    assert fuzz.run(kind, EXAMPLES, root) >= EXAMPLES // 2
