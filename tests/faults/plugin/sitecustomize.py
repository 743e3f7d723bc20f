"""Makes `tests.faults.faulty_fs` known to a child, which Python has import this module before anything else."""

from __future__ import annotations

from tests.faults import faulty_fs

faulty_fs.register()
