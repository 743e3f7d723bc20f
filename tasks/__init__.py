"""Prefect tasks: thin adapters over `mkgan_core`."""
