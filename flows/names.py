"""How runs and their artifacts are called."""

from __future__ import annotations

import re
from typing import Any, TypeVar

from prefect.runtime import flow_run
from pydantic import BaseModel

from flows.config import BenchmarkConfig
from mkgan_core.machine.plain_text import one_line
from mkgan_core.machine.secrets import hide

M = TypeVar("M", bound=BaseModel)
_MASK = re.compile(r"(?<=//)\*{3}\d*@|\?.*=\*{3}.*")  # a masked login, or the query from a masked value on


def run_id(config: BenchmarkConfig, flow_run_id: str) -> str:
    """Name of a run's folder in the store; the same again when the flow run is retried."""
    # the id's end: it begins with the time, to the minute, and a schedule makes many runs at once
    return f"{slug(config)}-{config.preset}-{flow_run_id[-8:]}"


def slug(config: BenchmarkConfig) -> str:
    """Data set and scale in the letters that Prefect allows in an artifact's key."""
    return re.sub(r"[^a-z0-9]+", "-", f"{short_name(config.dataset)}-x{config.scale}".lower()).strip("-")


def short_name(dataset: str) -> str:
    """The last part of a data set's path or URL, without what is secret or masked there.

    Example:
        >>> short_name("s3://bucket/DIV2KRK v2/"), short_name("http://alice:secretpw@example.org:81?sig=abc")
        ('DIV2KRK v2', 'example.org:81')
    """
    place = _MASK.sub("", hide(dataset))
    return one_line(place.rstrip("/").rsplit("/", 1)[-1])


def sentence(config: BenchmarkConfig) -> str:
    """What a run does."""
    methods = config.methods[0] if len(config.methods) == 1 else f"{len(config.methods)} methods"
    return f"compare {methods} on {short_name(config.dataset)} x{config.scale}, preset {config.preset}"


def current_config(model: type[M]) -> M:
    """The configuration of the flow run that is going on, which a deployment gives as a dictionary."""
    config: Any = flow_run.parameters["config"]
    return config if isinstance(config, model) else model(**config)
