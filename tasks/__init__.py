"""Prefect tasks: thin adapters over `mkgan_core`."""

import logging

# Prefect forwards the core's logger to the UI (PREFECT_LOGGING_EXTRA_LOGGERS), but leaves its level at WARNING.
logging.getLogger("mkgan_core").setLevel(logging.INFO)
