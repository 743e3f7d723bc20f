"""Options that several commands share, and options made of a configuration's fields."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from mkgan_core.errors import ConfigError

M = TypeVar("M", bound=BaseModel)


def parse_scale(text: str) -> int:
    """An enlargement factor.

    Raises:
        ConfigError: for anything but 2 and 4, such as 3 or 2.5.

    Example:
        >>> parse_scale("4")
        4
    """
    if str(text) not in ("2", "4"):
        raise ConfigError(f"--scale {text}: choose 2 or 4; x3 and factors that are no whole numbers are not supported")
    return int(text)


def parse_pair(text: str, methods: Iterable[str]) -> tuple[str, str]:
    """Two methods of a report, as in ``multi-kernelgan+zssr,kernelgan+zssr``.

    Raises:
        ConfigError: if it is not two of them.

    Example:
        >>> parse_pair("a+zssr, bicubic", ["bicubic", "a+zssr"])
        ('a+zssr', 'bicubic')
    """
    names = [name.strip() for name in text.split(",")]
    known = list(methods)
    if len(names) != 2 or not set(names) <= set(known):
        raise ConfigError(f"--pair {text}: give two of the report's methods, with a comma between: {', '.join(known)}")
    return names[0], names[1]


def options_of(model: type[BaseModel], flags: Mapping[str, str] | None = None) -> Callable[[Callable[..., Any]], Any]:
    """Turn a configuration's fields into a command's options: each is declared once, in the model.

    The command is called with the checked configuration as its first argument; its other parameters stay options of
    their own. A field's description is the option's help, its name in capitals behind ``MKGAN_`` the variable that
    gives it, and ``--<its name>`` the flag.

    Args:
        model: the configuration.
        flags: names of fields -> flags that differ from the field's name.
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
    """The field's description, with the values to choose from where it takes no others."""
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else ()
    return (field.description or "") + (f": {' or '.join(map(str, choices))}" if choices else "")


def _type(annotation: Any) -> tuple[Any, dict[str, Any]]:
    """The option's type without None, and what Typer is told besides."""
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


Scale = Annotated[int, typer.Option(envvar="MKGAN_SCALE", parser=parse_scale, help="enlargement factor: 2 or 4")]
Seed = Annotated[int, typer.Option(envvar="MKGAN_SEED", help="the (first) seed")]
StoreUri = Annotated[str | None, typer.Option(envvar="MKGAN_STORE", help="where artifacts and reports go")]
RunName = Annotated[str, typer.Argument(help="a run id, or the URI of its report.parquet")]
Html = Annotated[
    Path | None, typer.Option(envvar="MKGAN_HTML", help="write a page with tables, plots and pictures to this file")
]
Pairs = Annotated[
    list[str] | None,
    typer.Option("--pair", envvar="MKGAN_PAIR", help="two methods to compare, A,B; may be repeated"),
]
Preset = Annotated[str, typer.Option(envvar="MKGAN_PRESET", help="fast, best or paper")]
Device = Annotated[str, typer.Option(envvar="MKGAN_DEVICE", help="auto, cpu or cuda")]
Images = Annotated[list[Path], typer.Argument(help="image files")]
Out = Annotated[Path, typer.Option(envvar="MKGAN_OUT", help="folder for the results")]
Masks = Annotated[
    list[Path] | None,
    typer.Option("--mask", envvar="MKGAN_MASK", help="mask of an object, white on it, of the image's size"),
]
WeightFiles = Annotated[
    str | None,
    typer.Option("--weights", envvar="MKGAN_WEIGHTS", help="network weights: files or folders, separated like PATH"),
]
PerObject = Annotated[
    bool, typer.Option(envvar="MKGAN_PER_OBJECT", help="yolo-sam, yolo-grabcut: one region per object, not their union")
]
