"""No step fails for being the first to import something; `make soak` tries 200 processes."""

from __future__ import annotations

import pytest

from tests.faults import cold_imports


@pytest.mark.parametrize("seed", range(3))
def test_threads_that_import_at_once(seed: int) -> None:
    assert cold_imports.fresh(seed) is None
