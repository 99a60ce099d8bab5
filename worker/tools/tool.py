"""Owns one tool: a plain function, what the model is told of it, and how its arguments are checked.

Pure. The schema comes from the type hints by way of pydantic, the words from the docstring. Knows
neither how tools are chosen nor how long one may take.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self, get_type_hints

import docstring_parser
from pydantic import BaseModel, ConfigDict, Field, PydanticUserError, ValidationError, create_model
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_json

from outlive.shared.errors import SettingsError

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}", re.ASCII)
"""What providers accept; Python would allow more."""
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_SHOWN_FAULTS: Final = 10


class ToolFailed(Exception):
    """The call came to nothing; the text is what the model is told."""


class Options(BaseModel):
    """What `@outlive.tool` may say of a function."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    repeatable: bool = False
    """Whether a new attempt may run it again although there is a result."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call."""

    name: str
    function: Callable[..., Any]
    options: Options
    declaration: dict[str, Any]
    """`name`, `description` and `parameters`, as they stand in a request."""
    arguments: type[BaseModel]

    @classmethod
    def of(cls, function: Any, options: Any) -> Self:
        """Read a function. Raises `SettingsError` when a model could not call it."""
        name = getattr(function, "__name__", repr(function))
        if not (inspect.isfunction(function) and _NAME.fullmatch(name)):
            raise SettingsError(f"OUTLIVE_TOOLS: {name} is not a plain function with a name providers accept.")
        try:
            chosen = Options.model_validate(options)
            arguments = _arguments_of(function)
            parameters = arguments.model_json_schema(schema_generator=_Untitled)
        except (PydanticUserError, ValidationError, NameError, TypeError, ValueError) as error:
            raise SettingsError(f"OUTLIVE_TOOLS: {name} cannot be a tool: {error}.") from error
        del parameters["title"]
        declaration = {"name": name, "parameters": parameters}
        if description := docstring_parser.parse(inspect.getdoc(function) or "").description:
            declaration["description"] = description.strip()
        return cls(name, function, chosen, declaration, arguments)

    def validated(self, arguments: str) -> dict[str, Any]:
        """The call's arguments as the function takes them. Raises `ToolFailed`."""
        try:
            # Some providers send nothing where a function takes nothing.
            found = self.arguments.model_validate_json(arguments or "{}")
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False)[:_SHOWN_FAULTS]
            raise ToolFailed(f"The arguments are not valid. {' '.join(map(_sentence, faults))}") from error
        except ValueError as error:
            raise ToolFailed("The arguments are not valid: half a character.") from error
        return {name: getattr(found, name) for name in found.model_fields_set}


def text_of(value: Any) -> str:
    """What the model is shown of what a function returned: text as it is, all else as JSON."""
    if isinstance(value, str):
        return value
    try:
        return to_json(value).decode()
    except ValueError as error:
        raise ToolFailed("The tool returned something that cannot be written as JSON.") from error


class _Untitled(GenerateJsonSchema):
    """A title that repeats a name costs tokens in every request and says nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _arguments_of(function: Callable[..., Any]) -> type[BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    words = {p.arg_name: p.description for p in docstring_parser.parse(inspect.getdoc(function) or "").params}
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in _NAMED:
            raise TypeError(f"{name} cannot be given by name")
        if name not in hints:
            raise TypeError(f"{name} has no type hint")
        default = ... if parameter.default is parameter.empty else parameter.default
        described = Annotated[hints[name], Field(description=words[name])] if words.get(name) else hints[name]
        fields[name] = (described, default)
    config = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(function.__name__, __config__=config, **fields)


def _sentence(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    return f"{place}: {fault['msg']}." if place else f"{fault['msg']}."
