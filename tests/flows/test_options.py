"""Options that come from a configuration's fields: declared once, in the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import pytest
import typer
import yaml
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from flows.cli import photo
from flows.cli.model_options import options_of
from flows.config import UpscaleConfig
from mkgan_core.errors import ConfigError
from mkgan_core.pipeline.method import DEFAULT_METHOD


class Example(BaseModel):
    """A configuration with every kind of field."""

    names: list[str] = Field(["a"], description="what they are called")
    colour: Literal["red", "blue"] = Field("red", description="how it looks")
    scale: Literal[2, 4] = 2
    count: int | None = Field(None, ge=1, description="at most so many")
    place: str = Field(default_factory=lambda: "somewhere", description="where")


@pytest.fixture
def command() -> tuple[typer.Typer, list[tuple[Example, bool]]]:
    app, seen = typer.Typer(pretty_exceptions_enable=False), []

    @app.command()
    @options_of(Example, {"names": "--name"})
    def run(config: Example, loud: Annotated[bool, typer.Option(help="say it")] = False) -> None:
        """Do it."""
        seen.append((config, loud))

    return app, seen


def test_defaults_are_the_models(command) -> None:
    app, seen = command
    assert CliRunner().invoke(app, []).exit_code == 0
    assert seen == [(Example(), False)]


def test_options_and_variables(command) -> None:
    app, seen = command
    options = ["--name", "b", "--name", "c", "--colour", "blue", "--scale", "4", "--count", "3", "--loud"]
    result = CliRunner().invoke(app, options, env={"MKGAN_PLACE": "elsewhere", "MKGAN_COUNT": "9"})
    assert result.exit_code == 0, result.output
    expected = Example(names=["b", "c"], colour="blue", scale=4, count=3, place="elsewhere")
    assert seen == [(expected, True)]


def test_help_is_the_description(command) -> None:
    shown = " ".join(CliRunner().invoke(command[0], ["--help"], terminal_width=200).output.split())
    for words in ("what they are called", "how it looks", "red or blue", "MKGAN_NAME", "Do it."):
        assert words in shown


@pytest.mark.parametrize(
    ("options", "flag"),
    [(["--colour", "green"], "--colour 'green'"), (["--count", "0"], "--count 0"), (["--scale", "3"], "--scale 3")],
)
def test_a_bad_value_names_its_flag(command, options: list[str], flag: str) -> None:
    result = CliRunner().invoke(command[0], options)
    assert isinstance(result.exception, ConfigError)
    assert flag in str(result.exception)
    assert command[1] == []


def test_one_default_method() -> None:
    """Of the command, the flow, the deployment, and the run that an event starts."""
    deployments = yaml.safe_load((Path(__file__).parents[2] / "prefect.yaml").read_text())["deployments"]
    (upscale,) = (entry for entry in deployments if entry["name"] == "upscale")
    found = {
        photo.upscale.__defaults__[2],  # type: ignore[index]
        UpscaleConfig(images=["a.png"]).method,
        upscale["parameters"]["config"]["method"],
        upscale["triggers"][0]["parameters"]["config"]["method"],
    }
    assert found == {DEFAULT_METHOD}
