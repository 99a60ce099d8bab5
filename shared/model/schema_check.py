"""Owns the check of a JSON schema, and of a value against one.

Pure. Schema and value come from strangers, so the work is bounded. Every keyword that is applied is a step, and steps
are counted, because references make a small schema endless. Regular expressions are never run: one can take years, and
nothing could stop it. Nothing is ever fetched.
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
"""Findings per value; more would not help the reader."""

_CHARS: Final = 200
"""Length of a path or a message: jsonschema quotes the value, which may be megabytes."""

_MAX_STEPS: Final = 1_000_000
"""Two or three seconds at the worst. A document of 100 kB takes some 100,000."""

_MAX_COST: Final = 6_500
"""Cost of checking a schema against its meta-schema: two or three seconds at the worst. OpenAI accepts 5,000
properties and 1,000 values of an `enum`."""

_STEPS: Final = {"$ref": 20, "$dynamicRef": 20, "$recursiveRef": 20}
"""Keywords that cost more than one step."""

_MAX_COMPARED: Final = 100
"""`uniqueItems` compares each element with each, so longer arrays are not checked."""

_SKIPPED: Final = ("pattern", "patternProperties", "unevaluatedProperties", "unevaluatedItems")
"""Keywords that run regular expressions, or depend on which of them matched."""

Keyword = Callable[[Any, Any, Any, Any], Iterator[Any] | None]

_steps_left: ContextVar[list[int]] = ContextVar("steps left")


class Finding(NamedTuple):
    """One place where a value breaks its schema; `path` is a JSON Pointer to it."""

    path: str
    message: str


class _TooManySteps(Exception):
    pass


def asked_schema(request: Mapping[str, Any]) -> Any:
    """The schema that a Chat Completions request wants its answer to keep; None when it asks for no JSON."""
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


def schema_error(schema: Any) -> str | None:
    """Why this is not a valid JSON schema; None when it is one. Takes up to seconds: not for an event loop."""
    if _cost(schema) > _MAX_COST:
        return "schema: it is larger than this server checks; use fewer properties or values."
    validator = _validator_of(schema)
    for error in validator(validator.META_SCHEMA, registry=REGISTRY).iter_errors(schema):
        finding = _finding(error)
        return f"{finding.path or 'schema'}: {finding.message}"
    return None


def findings(schema: Any, value: Any) -> list[Finding]:
    """Where the value breaks the schema, at most `MAX`. Takes up to seconds: not for an event loop."""
    return list(islice(_find(schema, value), MAX))


def _find(schema: Any, value: Any) -> Iterator[Finding]:
    _steps_left.set([_MAX_STEPS])
    validator = _bounded(_validator_of(schema))
    try:
        # Without `$schema`: jsonschema would check a part that names its draft without counting steps.
        for error in validator(_undrafted(schema), registry=EMPTY_REGISTRY).iter_errors(value):
            yield _finding(error)
    except Unresolvable as error:
        yield Finding("", f"The schema refers to a part that it does not contain: {error}"[:_CHARS])
    except (_TooManySteps, RecursionError, ArithmeticError):
        yield Finding("", "The value could not be checked: the schema takes too many steps.")


def _cost(schema: Any) -> float:
    """A third of a millisecond for each object; older drafts compare each element of some lists with each."""
    cost, waiting = 0.0, [schema]
    while waiting and cost <= _MAX_COST:
        part = waiting.pop()
        if isinstance(part, dict):
            cost += 1
            waiting.extend(part.values())
        elif isinstance(part, list):
            cost += len(part) ** 2 / 1_000
            waiting.extend(part)
    return cost


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
    """This draft's validator with counted steps."""
    keywords = validator.VALIDATORS | dict.fromkeys(_SKIPPED, _pass)
    for name, is_bounded in _ONLY_IF.items():
        if name in keywords:
            keywords[name] = _only_if(is_bounded, keywords[name])
    counted = {name: _counted(name, keyword) for name, keyword in keywords.items()}
    return validators.extend(validator, counted)  # type: ignore[no-untyped-call]  # the stubs lack it


def _counted(name: str, keyword: Keyword) -> Keyword:
    def count(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any] | None:
        left = _steps_left.get()
        left[0] -= _STEPS.get(name, 1) + sum(len(each) for each in (wanted, instance) if isinstance(each, dict | list))
        if left[0] < 0:
            raise _TooManySteps
        return keyword(validator, wanted, instance, schema)

    return count


_ONLY_IF: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "uniqueItems": lambda instance, _: not isinstance(instance, list) or len(instance) <= _MAX_COMPARED,
    "additionalProperties": lambda _, schema: "patternProperties" not in schema,
}


def _only_if(is_bounded: Callable[[Any, Any], bool], keyword: Keyword) -> Keyword:
    def check(validator: Any, wanted: Any, instance: Any, schema: Any) -> Iterator[Any] | None:
        return keyword(validator, wanted, instance, schema) if is_bounded(instance, schema) else None

    return check


def _pass(validator: Any, wanted: Any, instance: Any, schema: Any) -> None:
    return None
