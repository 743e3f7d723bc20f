"""The worker process of `mkgan serve`: runs `prefect worker`, and ends with the process that started it."""

from __future__ import annotations

import runpy

from deployments.tied import end_with_starter

if __name__ == "__main__":
    end_with_starter()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)
