"""Names of runs and their artifacts."""

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
    """Name of a run's folder in the store; a retry of the flow run keeps it."""
    # use the end of the id: its beginning is the time to the minute, which scheduled runs share
    return f"{slug(config)}-{config.preset}-{flow_run_id[-8:]}"


def slug(config: BenchmarkConfig) -> str:
    """Data set and scale, in the characters that Prefect allows in an artifact's key."""
    return re.sub(r"[^a-z0-9]+", "-", f"{short_name(config.dataset)}-x{config.scale}".lower()).strip("-")


def short_name(dataset: str) -> str:
    """The last part of a data set's path or URL, without secrets and masks.

    Example:
        >>> short_name("s3://bucket/DIV2KRK v2/"), short_name("http://alice:secretpw@example.org:81?sig=abc")
        ('DIV2KRK v2', 'example.org:81')
    """
    place = _MASK.sub("", hide(dataset))
    return one_line(place.rstrip("/").rsplit("/", 1)[-1])


def sentence(config: BenchmarkConfig) -> str:
    """One sentence that says what a run does."""
    methods = config.methods[0] if len(config.methods) == 1 else f"{len(config.methods)} methods"
    return f"compare {methods} on {short_name(config.dataset)} x{config.scale}, preset {config.preset}"


def current_config(model: type[M]) -> M:
    """The configuration of the current flow run; a deployment passes it as a dictionary."""
    config: Any = flow_run.parameters["config"]
    return config if isinstance(config, model) else model(**config)
