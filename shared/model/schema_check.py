"""Owns what a JSON schema says: whether it is a schema at all, and what a value breaks of it.

Pure. Schema and value come from strangers, so the work is bounded: every keyword applied is a
step, and steps are counted, because references make a small schema endless. Regular expressions
are not tried: one can run for years, and nothing could stop it. Nothing is ever fetched.
"""

from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from itertools import islice
from typing import Any, Final, NamedTuple

from jsonschema import Draft202012Validator, ValidationError, validators
from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]  # ships no types
from referencing.exceptions import Unresolvable
from referencing.jsonschema import EMPTY_REGISTRY

from outlive.shared.model.json_ops import child

MAX: Final = 16
"""Findings told; who has so many has seen the point."""

_CHARS: Final = 200
"""Of a path or a message: jsonschema quotes the value, which may be megabytes."""

_MAX_STEPS: Final = 1_000_000
"""Two or three seconds at the worst. A document of 100 kB takes some 100,000."""

_MAX_COST: Final = 6_500
"""Of a schema, before it is asked whether it is one: two or three seconds at the worst. OpenAI takes 5,000 properties
and 1,000 values of an `enum`."""

_STEPS: Final = {"$ref": 20, "$dynamicRef": 20, "$recursiveRef": 20}
"""What takes longer than others."""

_MAX_COMPARED: Final = 100
"""`uniqueItems` compares each with each, so longer arrays are not asked."""

_UNTRIED: Final = ("pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems")
"""They run regular expressions, or ask which of them have matched."""

Keyword = Callable[[Any, Any, Any, Any], Iterator[Any] | None]

_steps_left: ContextVar[list[int]] = ContextVar("steps left")


class Finding(NamedTuple):
    """One thing a value breaks; `path` is a JSON Pointer to where."""

    path: str
    message: str


class _TooManySteps(Exception):
    pass


def asked_schema(request: Mapping[str, Any]) -> Any:
    """The schema a Chat Completions request wants its answer to keep; None when it wants no JSON."""
    wanted = request.get("response_format")
    if not isinstance(wanted, dict):
        return None
    kind = wanted.get("type")
    if kind == "json_object":
        return {"type": "object"}
    if kind != "json_schema":
        return None
    described = wanted.get("json_schema")
    schema = described.get("schema") if isinstance(described, dict) else None
    return True if schema is None else schema


def fault_of(schema: Any) -> str | None:
    """Why this is no JSON schema; None when it is one. Takes its time: not for an event loop."""
    if _cost(schema) > _MAX_COST:
        return "schema: it is larger than can be checked."
    validator = _validator_of(schema)
    for error in validator(validator.META_SCHEMA, registry=REGISTRY).iter_errors(schema):
        found = _finding(error)
        return f"{found.path or 'schema'}: {found.message}"
    return None


def findings(schema: Any, value: Any) -> list[Finding]:
    """What the value breaks of the schema, `MAX` at most. Takes its time: not for an event loop."""
    return list(islice(_find(schema, value), MAX))


def _find(schema: Any, value: Any) -> Iterator[Finding]:
    _steps_left.set([_MAX_STEPS])
    validator = _bounded(_validator_of(schema))
    try:
        # Without `$schema`: a part of the schema that names its draft would be checked uncounted.
        for error in validator(_undrafted(schema), registry=EMPTY_REGISTRY).iter_errors(value):
            yield _finding(error)
    except Unresolvable as error:
        yield Finding("", f"The schema refers to something that is not in it: {error}"[:_CHARS])
    except (_TooManySteps, RecursionError, ArithmeticError):
        yield Finding("", "The schema asks for more than can be checked.")


def _cost(schema: Any) -> float:
    """A third of a millisecond for each object; and older drafts compare each of some lists with each."""
    found, waiting = 0.0, [schema]
    while waiting and found <= _MAX_COST:
        part = waiting.pop()
        if isinstance(part, dict):
            found += 1
            waiting.extend(part.values())
        elif isinstance(part, list):
            found += len(part) ** 2 / 1_000
            waiting.extend(part)
    return found


def _finding(error: ValidationError) -> Finding:
    path = ""
    for part in error.absolute_path:
        path = child(path, part)
    return Finding(path[:_CHARS], error.message[:_CHARS])


def _validator_of(schema: Any) -> Any:
    named = schema.get("$schema") if isinstance(schema, dict) else None
    return validators.validator_for({"$schema": named} if isinstance(named, str) else {}, Draft202012Validator)


def _undrafted(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_undrafted(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _undrafted(each) for key, each in schema.items() if key != "$schema" or not isinstance(each, str)}


@cache
def _bounded(validator: Any) -> Any:
    """This draft's validator, counting its steps."""
    keywords = validator.VALIDATORS | dict.fromkeys(_UNTRIED, _pass)
    for name, is_asked in _ASKED.items():
        if name in keywords:
            keywords[name] = _asked(keywords[name], is_asked)
    counted = {name: _counted(name, keyword) for name, keyword in keywords.items()}
    return validators.extend(validator, counted)  # type: ignore[no-untyped-call]  # the stubs say nothing of it


def _counted(name: str, keyword: Keyword) -> Keyword:
    def count(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any] | None:
        left = _steps_left.get()
        left[0] -= _STEPS.get(name, 1) + sum(len(each) for each in (wanted, instance) if isinstance(each, dict | list))
        if left[0] < 0:
            raise _TooManySteps
        return keyword(validator, wanted, instance, schema)

    return count


_ASKED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "uniqueItems": lambda instance, _: not isinstance(instance, list) or len(instance) <= _MAX_COMPARED,
    "additionalProperties": lambda _, schema: "patternProperties" not in schema,
}


def _asked(keyword: Keyword, is_asked: Callable[[Any, Any], bool]) -> Keyword:
    def ask(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any] | None:
        return keyword(validator, wanted, instance, schema) if is_asked(instance, schema) else None

    return ask


def _pass(validator: Any, wanted: Any, instance: Any, schema: Any) -> None:
    return None
