"""Owns one tool: a plain function, its description for the model, and the check of its arguments.

Pure. pydantic makes the schema from the type hints; the description comes from the docstring. Knows neither how tools
are chosen nor how long one may take.
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
"""Providers accept these names; Python would allow more."""
_NAMED: Final = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_MAX_SHOWN_ERRORS: Final = 10


class ToolFailed(Exception):
    """The call has no result; the message is shown to the model."""


class Options(BaseModel):
    """The options of one function, as `@outlive.tool` takes them."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    timeout_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    repeatable: bool = False
    """Whether a new attempt may run it again although it has a result."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call."""

    name: str
    function: Callable[..., Any]
    options: Options
    declaration: dict[str, Any]
    """`name`, `description` and `parameters`, as in a request."""
    arguments: type[BaseModel]

    @classmethod
    def of(cls, function: Any, options: Any) -> Self:
        """The tool that this function makes. Raises `SettingsError` when a model could not call it."""
        name = getattr(function, "__name__", repr(function))
        if not (inspect.isfunction(function) and _NAME.fullmatch(name)):
            raise SettingsError(
                f"OUTLIVE_TOOLS: {name} must be a plain function, named with at most 64 ASCII letters, digits and `_`."
            )
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
            # Some providers send an empty text if a function takes no arguments.
            valid = self.arguments.model_validate_json(arguments or "{}")
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)[:_MAX_SHOWN_ERRORS]
            raise ToolFailed(f"The arguments are not valid. {' '.join(map(_sentence, errors))}") from error
        except ValueError as error:
            raise ToolFailed("The arguments are not valid: they contain half a character.") from error
        return {name: getattr(valid, name) for name in valid.model_fields_set}


def text_of(value: Any) -> str:
    """A function's result as the model reads it: text as it is, anything else as JSON. Raises `ToolFailed`."""
    if isinstance(value, str):
        return value
    try:
        return to_json(value).decode()
    except ValueError as error:
        raise ToolFailed("The tool returned something that cannot be written as JSON.") from error


class _Untitled(GenerateJsonSchema):
    """Without titles: a title that repeats a name costs tokens in every request and adds nothing."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _arguments_of(function: Callable[..., Any]) -> type[BaseModel]:
    hints = get_type_hints(function, include_extras=True)
    descriptions = {p.arg_name: p.description for p in docstring_parser.parse(inspect.getdoc(function) or "").params}
    fields: dict[str, Any] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in _NAMED:
            raise TypeError(f"its parameter {name} cannot be passed by name")
        if name not in hints:
            raise TypeError(f"its parameter {name} needs a type hint")
        default = ... if parameter.default is parameter.empty else parameter.default
        hint = hints[name]
        if description := descriptions.get(name):
            hint = Annotated[hint, Field(description=description)]
        fields[name] = (hint, default)
    config = ConfigDict(extra="forbid", protected_namespaces=())
    return create_model(function.__name__, __config__=config, **fields)


def _sentence(error: Any) -> str:
    path = ".".join(str(part) for part in error["loc"])
    return f"{path}: {error['msg']}." if path else f"{error['msg']}."
