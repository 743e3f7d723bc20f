"""Parameters of the flows; the field descriptions are the help in the Prefect UI's form."""

from __future__ import annotations

import os
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, Field, field_validator

from mkgan_core.machine.places import default_store
from mkgan_core.machine.secrets import hide
from mkgan_core.pipeline.arguments import MAX_SEED
from mkgan_core.pipeline.method import DEFAULT_METHOD, DEFAULT_METHODS, parse

# Passwords and tokens in URLs are known to this process alone; a run keeps and shows their masks.
Place = Annotated[str, AfterValidator(hide)]
Scale = Annotated[Literal[2, 4], Field(title="Scale", description="enlargement factor")]
Preset = Annotated[
    Literal["fast", "best", "paper"],
    Field(title="Preset", description="settings of all parts: best per second, best there is, or as published"),
]
FirstSeed = Annotated[
    int, Field(title="First seed", ge=0, le=MAX_SEED, description="source of chance; a whole number from 0 on")
]
StoreUri = Annotated[
    Place,
    Field(
        title="Store",
        description="where artifacts and reports go, any fsspec URL; empty: the worker's MKGAN_STORE, or data/store",
    ),
]
Runner = Annotated[
    Literal["threads", "processes", "dask"], Field(title="Runner", description="how tasks run beside each other")
]
DaskAddress = Annotated[
    str | None,
    Field(
        title="Dask scheduler",
        description="for dask, such as tcp://host:8786; without one, a cluster on the machine of the run",
    ),
]
# those of the named methods that need no data set; the form in the UI offers them
ImageMethod = Literal[
    "auto+zssr",
    "spectral+zssr",
    "camera-shake+zssr",
    "bicubic+zssr",
    "kernelgan+zssr",
    "michaeli-irani+zssr",
    "multi-spectral+zssr",
    "multi-kernelgan+zssr",
    "bicubic",
]
Device = Annotated[Literal["auto", "cpu", "cuda"], Field(title="Device", description="where trainings run")]


class BenchmarkConfig(BaseModel):
    """What to run and how."""

    dataset: Place = Field(
        "sample",
        title="Data set",
        description="`sample`, `sample-two-blur`, or the path or URL of a folder in the DIV2KRK layout",
    )
    scale: Scale = 2
    methods: list[str] = Field(
        list(DEFAULT_METHODS),
        title="Methods",
        min_length=1,
        description="by name, [segmenter/]estimator+upscaler: see `mkgan methods`; `multi-` takes the best segmenter",
        examples=[list(DEFAULT_METHODS)],
    )
    preset: Preset = "fast"
    seeds: int = Field(
        1,
        title="Seeds",
        ge=1,
        le=100,
        description="how many, from the first on (1 to 100); scores are their mean",
    )
    seed: FirstSeed = 0
    limit: int | None = Field(None, title="Limit", ge=1, description="at most so many images; empty: all")
    images: list[str] = Field(
        [], title="Images", description="only these image IDs, such as im_13 or im_13,im_33; empty: all"
    )
    store: StoreUri = Field(default_factory=default_store, validate_default=True)
    runner: Runner = "threads"
    dask_address: DaskAddress = Field(default_factory=lambda: os.environ.get("MKGAN_DASK_ADDRESS"))
    device: Device = "auto"

    @field_validator("methods")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        for name in names:
            parse(name)
        return list(dict.fromkeys(names))

    @field_validator("images", mode="before")
    @classmethod
    def _split(cls, names: list[str] | str) -> list[str]:
        """IDs, each once; one by one, or with commas between them, as in ``im_13,im_33``."""
        given = [names] if isinstance(names, str) else names
        named = (name.strip() for text in given for name in text.split(","))
        return list(dict.fromkeys(name for name in named if name))


class UpscaleConfig(BaseModel):
    """Which images to enlarge and how."""

    images: list[Place] = Field(
        title="Images", min_length=1, description="paths or URLs of image files that the worker can read"
    )
    method: ImageMethod | str = Field(
        DEFAULT_METHOD,
        title="Method",
        description="one of the list, or any other as [segmenter/]estimator+upscaler: see `mkgan methods`",
    )
    scale: Scale = 2
    preset: Preset = "fast"
    out: Place | None = Field(
        None, title="Folder", description="folder or URL for <name>_x<scale>.png; empty: `upscaled` in the store"
    )
    seed: FirstSeed = 0
    store: StoreUri = Field(default_factory=default_store, validate_default=True)
    runner: Runner = "threads"
    dask_address: DaskAddress = Field(default_factory=lambda: os.environ.get("MKGAN_DASK_ADDRESS"))
    device: Device = "auto"

    @field_validator("method")
    @classmethod
    def _known(cls, name: str) -> str:
        parse(name)
        return name
