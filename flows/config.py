"""Parameters of the flows; the field descriptions are the help in the Prefect UI's form."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, field_validator

from mkgan_core import method

CHECKOUT = Path(__file__).resolve().parent.parent


def home() -> Path:
    """Where everything is kept by default: ``MKGAN_HOME``, else the checkout's ``data`` folder, else ``./data``."""
    if "MKGAN_HOME" in os.environ:
        return Path(os.environ["MKGAN_HOME"]).resolve()
    return (CHECKOUT if (CHECKOUT / "pyproject.toml").exists() else Path.cwd()) / "data"


def default_store() -> str:
    """URI of the default artifact store."""
    return (home() / "store").as_uri()


class BenchmarkConfig(BaseModel):
    """What to run and how."""

    dataset: str = Field(
        "sample", description="`sample`, `sample-two-blur`, or the path or URL of a folder in the DIV2KRK layout"
    )
    scale: Literal[2, 4] = Field(2, description="enlargement factor")
    methods: list[str] = Field(
        list(method.DEFAULT_METHODS), min_length=1, description="methods by name: [segmenter/]estimator+upscaler"
    )
    preset: Literal["fast", "paper"] = Field("fast", description="settings of all parts: ours, or as published")
    seeds: int = Field(1, ge=1, le=100, description="how many seeds, from `seed` on; scores are their mean")
    seed: int = Field(0, ge=0, description="the first seed")
    limit: int | None = Field(None, ge=1, description="at most so many images")
    images: list[str] = Field([], description="only these image IDs")
    store: str = Field(default_factory=default_store, description="where artifacts and reports go (any fsspec URL)")
    runner: Literal["threads", "processes", "dask"] = Field("threads", description="how tasks run beside each other")
    dask_address: str | None = Field(
        default_factory=lambda: os.environ.get("MKGAN_DASK_ADDRESS"),
        description="the Dask scheduler, such as tcp://host:8786; without one, a cluster on the machine of the run",
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where trainings run")

    @field_validator("methods")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            method.parse(name)
        return list(dict.fromkeys(names))
