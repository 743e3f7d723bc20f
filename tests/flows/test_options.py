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
from flows.config import IMAGE_METHODS, BenchmarkConfig, UpscaleConfig
from mkgan_core.errors import ConfigError
from mkgan_core.pipeline.method import DEFAULT_METHOD, NAMED_METHODS


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


def test_the_form_offers_every_named_method_that_needs_no_data_set() -> None:
    without_truth = [name for name in NAMED_METHODS if not name.startswith("ground-truth")]
    assert sorted(IMAGE_METHODS) == sorted(without_truth)


def test_the_form_offers_methods_and_takes_others() -> None:
    """The UI turns an enumeration into a list of choices; other methods have a text field."""
    from prefect.utilities.callables import parameter_schema

    from flows.upscale import upscale

    schema = parameter_schema(upscale).model_dump()
    fields = schema["definitions"]["UpscaleConfig"]["properties"]
    method = fields["method"]
    assert method["default"] == method["enum"][0] == DEFAULT_METHOD
    assert set(method["enum"]) == {name for name in NAMED_METHODS if not name.startswith("ground-truth")}
    fields |= BenchmarkConfig.model_json_schema()["properties"]
    assert [name for name, field in fields.items() if "type" not in field] == []  # the form asks nobody for a type
    other = "edges/spectral+back-projection"
    assert UpscaleConfig(images=["x.png"], other_method=other).method == other
    for field in ("method", "other_method"):
        with pytest.raises(ConfigError, match="nonsense"):
            UpscaleConfig.model_validate({"images": ["x.png"], field: "nonsense"})


def test_an_empty_field_of_the_form_is_the_default() -> None:
    empty = {"other_method": None, "out": None, "dask_address": None}
    assert UpscaleConfig.model_validate({"images": ["x.png"], **empty}) == UpscaleConfig(images=["x.png"])
    assert BenchmarkConfig.model_validate({"limit": None, "dask_address": None}) == BenchmarkConfig()


def test_runs_of_a_terminal_have_tags() -> None:
    from flows.cli.run import tags

    config = BenchmarkConfig(dataset="s3://bucket/DIV2KRK v2/", methods=["bicubic"], scale=4)
    assert tags(config) == ["terminal", "benchmark", "DIV2KRK v2", "x4", "fast"]
