"""Turns the fields of a configuration into options. It imports pydantic: only for commands of the extra `pipeline`."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from flows.cli.options import parse_scale
from mkgan_core.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


def options_of(model: type[BaseModel], flags: Mapping[str, str] | None = None) -> Callable[[Callable[..., Any]], Any]:
    """Turn a configuration's fields into a command's options, so that each is declared once, in the model.

    The command receives the checked configuration as its first argument; its other parameters stay options. The flag
    is ``--`` and the field's name, the environment variable ``MKGAN_`` and the name in capitals, and the help text the
    field's description.

    Args:
        model: the configuration.
        flags: field name -> flag, for flags that differ from the field's name.
    """
    renamed = dict(flags or {})

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        hints = get_type_hints(command, include_extras=True)
        _, *own = inspect.signature(command).parameters.values()
        options = [_option(name, field, renamed) for name, field in model.model_fields.items()]
        others = [parameter.replace(annotation=hints[parameter.name]) for parameter in own]

        def call(**given: Any) -> Any:
            values = {name: given.pop(name) for name in model.model_fields}
            return command(_checked(model, values, renamed), **given)

        call.__name__, call.__doc__ = command.__name__, command.__doc__
        call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*options, *others)]
        )
        call.__annotations__ = {p.name: p.annotation for p in (*options, *others)}
        return call

    return decorate


def _flag(name: str, renamed: Mapping[str, str]) -> str:
    return renamed.get(name) or "--" + name.replace("_", "-")


def _option(name: str, field: FieldInfo, renamed: Mapping[str, str]) -> inspect.Parameter:
    flag = _flag(name, renamed)
    kind, settings = _type(field.annotation)
    default = field.default if isinstance(field.default, str | int | float) else None
    if get_origin(kind) is list or default is None:
        kind, default = kind | None, None
    option = typer.Option(
        flag, envvar="MKGAN_" + flag.removeprefix("--").replace("-", "_").upper(), help=_help(field), **settings
    )
    parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
    return parameter.replace(annotation=Annotated[kind, option])


def _help(field: FieldInfo) -> str:
    """The field's description, followed by its choices if it has a fixed set of values."""
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    *others, last = map(str, choices or [""])
    return (field.description or "") + (f": {', '.join(others)} or {last}" if choices else "")


def _type(annotation: Any) -> tuple[Any, dict[str, Any]]:
    """The option's type without None, and further arguments for Typer."""
    if get_origin(annotation) in (Union, types.UnionType):
        (annotation,) = (part for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is Literal:
        scale = get_args(annotation) == (2, 4)
        return (int, {"parser": parse_scale}) if scale else (str, {})
    return annotation, {}


def _checked(model: type[M], values: Mapping[str, Any], renamed: Mapping[str, str]) -> M:
    """The options that were given, as a configuration.

    Raises:
        ConfigError: naming the option.
    """
    try:
        return model(**{name: value for name, value in values.items() if value not in (None, [])})
    except ValidationError as fault:
        first = fault.errors()[0]
        flag = _flag(str(first["loc"][0]), renamed) if first["loc"] else "options"
        raise ConfigError(f"{flag} {first['input']!r}: {first['msg'].lower()}") from fault
