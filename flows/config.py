"""Parameters of the flows; the field descriptions are the help in the Prefect UI's form."""

from __future__ import annotations

import os
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from mkgan_core.machine.places import default_store
from mkgan_core.machine.secrets import hide
from mkgan_core.pipeline.arguments import MAX_SEED
from mkgan_core.pipeline.method import DEFAULT_METHOD, DEFAULT_METHODS, parse

# Only this process knows passwords and tokens in URLs; a run stores and shows masks instead.
Place = Annotated[str, AfterValidator(hide)]
Scale = Annotated[Literal[2, 4], Field(title="Scale", description="enlargement factor")]
Preset = Annotated[
    Literal["fast", "best", "paper"],
    Field(title="Preset", description="settings of all parts (paper: as published)"),
]
FirstSeed = Annotated[
    int, Field(title="First seed", ge=0, le=MAX_SEED, description="random seed; a whole number, 0 or larger")
]
StoreUri = Annotated[
    Place,
    Field(
        title="Store",
        description="folder or fsspec URL for artifacts and reports; empty: the worker's MKGAN_STORE, or data/store",
    ),
]
Runner = Annotated[
    Literal["threads", "processes", "dask"], Field(title="Runner", description="how tasks run in parallel")
]
# None is accepted for empty text. For the type `str | None` the form would offer two types; so schemas have only one.
Text = Annotated[str, BeforeValidator(lambda given: "" if given is None else given)]
DaskAddress = Annotated[
    Text,
    Field(
        title="Dask scheduler",
        description="scheduler address for the runner dask, such as tcp://host:8786; empty: a cluster on this machine",
    ),
]
# The named methods that need no data set, as choices in the UI's form. The form cannot combine choices with free text:
# it would take each typed letter for a choice. So other methods have a field of their own.
IMAGE_METHODS = [
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
ImageMethod = Annotated[str, WithJsonSchema({"type": "string", "enum": IMAGE_METHODS})]
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
        description="method names, [segmenter/]estimator+upscaler (`mkgan methods`); `multi-` uses the best segmenter",
        examples=[list(DEFAULT_METHODS)],
    )
    preset: Preset = "fast"
    seeds: int = Field(
        1,
        title="Seeds",
        ge=1,
        le=100,
        description="number of consecutive seeds, 1 to 100; scores are means over them",
    )
    seed: FirstSeed = 0
    limit: Annotated[int | None, WithJsonSchema({"type": "integer", "minimum": 1})] = Field(
        default_factory=lambda: None, title="Limit", ge=1, description="largest number of images; empty: all"
    )
    images: list[str] = Field(
        [], title="Images", description="IDs of the images to use, such as im_13 or im_13,im_33; empty: all"
    )
    store: StoreUri = Field(default_factory=default_store, validate_default=True)
    runner: Runner = "threads"
    dask_address: DaskAddress = Field(default_factory=lambda: os.environ.get("MKGAN_DASK_ADDRESS", ""))
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
        """The IDs, each once; they may be separate or joined by commas, as in ``im_13,im_33``."""
        given = [names] if isinstance(names, str) else names
        named = (name.strip() for text in given for name in text.split(","))
        return list(dict.fromkeys(name for name in named if name))


class UpscaleConfig(BaseModel):
    """Which images to enlarge and how."""

    images: list[Place] = Field(
        title="Images", min_length=1, description="paths or URLs of image files that the worker can read"
    )
    method: ImageMethod = Field(
        DEFAULT_METHOD,
        title="Method",
        description="`auto+zssr` suits most images; `multi-` estimates a kernel for each region (`mkgan methods`)",
    )
    other_method: Text = Field(
        default_factory=str,
        title="Other method",
        description="any other method, as `[segmenter/]estimator+upscaler`; empty: the method above",
    )
    scale: Scale = 2
    preset: Preset = "fast"
    out: Annotated[Text, AfterValidator(hide)] = Field(
        default_factory=str,
        title="Folder",
        description="folder or URL for the results, `<name>_x<scale>.png`; empty: `upscaled` in the store",
    )
    seed: int = Field(0, title="Seed", ge=0, le=MAX_SEED, description="random seed; a whole number, 0 or larger")
    store: StoreUri = Field(default_factory=default_store, validate_default=True)
    runner: Runner = "threads"
    dask_address: DaskAddress = Field(default_factory=lambda: os.environ.get("MKGAN_DASK_ADDRESS", ""))
    device: Device = "auto"

    @model_validator(mode="after")
    def _known(self) -> Self:
        self.method = self.other_method.strip() or self.method
        parse(self.method)
        return self
