"""Settings of `mkgan serve` and `mkgan deploy`; the field descriptions are the options' help texts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mkgan_core.machine.places import default_store, home


class DataSettings(BaseModel):
    """Places of the data set and the store."""

    model_config = ConfigDict(frozen=True)

    div2krk: str = Field(
        default_factory=lambda: str(home() / "div2krk"),
        description="folder or URL of the scheduled runs' data set; default: div2krk in MKGAN_HOME",
    )
    store: str = Field(
        default_factory=default_store,
        description="folder or fsspec URL for artifacts and reports; default: store in MKGAN_HOME",
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in given.items() if value not in (None, "")}


class DeploySettings(DataSettings):
    """Settings for a Prefect server."""

    gpu_slots: int | None = Field(
        default=None,
        ge=1,
        description="steps that train at a time, over all runs, and regions per batch; default: the server's current "
        "value, else by GPU memory (at most 128 per GPU), else one per core",
    )
    notify_url: str | None = Field(default=None, description="webhook to call when a run fails or crashes")
    zombie_after: int = Field(
        default=300, ge=30, description="seconds without a heartbeat after which a run counts as crashed"
    )
