"""Owns invented values: each satisfies a JSON schema.

Pure. Knows the keywords that schemas of tools and answers use (OpenAI's strict subset, local `$ref`
included), not all of JSON Schema.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

# Below this depth optional parts are left out, so that a schema that refers to itself comes to an end.
_MAX_DEPTH: Final = 8


def example(schema: Mapping[str, Any], word: Callable[[str], str]) -> Any:
    """A value for `schema`; `word` gives the text for a string property of that name."""
    return _value(schema, schema, "value", word, 0)


def _value(root: Mapping[str, Any], schema: Any, name: str, word: Callable[[str], str], depth: int) -> Any:
    if not isinstance(schema, Mapping):
        return None
    if "$ref" in schema:
        schema = _resolve(root, str(schema["$ref"])) if depth <= 2 * _MAX_DEPTH else {}
        return _value(root, schema, name, word, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return _value(root, _pick(schema[choice], depth), name, word, depth + 1)
    return _typed(root, schema, name, word, depth)


def _typed(
    root: Mapping[str, Any], schema: Mapping[str, Any], name: str, word: Callable[[str], str], depth: int
) -> Any:
    kind = schema.get("type", "object" if "properties" in schema else None)
    if isinstance(kind, list):
        kind = "null" if depth > _MAX_DEPTH and "null" in kind else kind[0]
    match kind:
        case "object":
            return _object(root, schema, word, depth)
        case "array":
            count = schema.get("minItems", 0 if depth > _MAX_DEPTH else min(2, schema.get("maxItems", 2)))
            return [_value(root, schema.get("items", {}), name, word, depth + 1) for _ in range(count)]
        case "integer" | "number":
            return _number(schema, whole=kind == "integer")
        case "boolean":
            return True
        case "null":
            return None
        case _:
            text = word(name)[: schema.get("maxLength", 200)]
            return text.ljust(schema.get("minLength", 0), ".")


def _pick(options: Sequence[Any], depth: int) -> Any:
    nulls = [option for option in options if isinstance(option, Mapping) and option.get("type") == "null"]
    return nulls[0] if depth > _MAX_DEPTH and nulls else options[0]


def _object(root: Mapping[str, Any], schema: Mapping[str, Any], word: Callable[[str], str], depth: int) -> Any:
    required = schema.get("required", ())
    return {
        key: _value(root, part, key, word, depth + 1)
        for key, part in schema.get("properties", {}).items()
        if key in required or depth <= _MAX_DEPTH
    }


def _number(schema: Mapping[str, Any], *, whole: bool) -> float | int:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    value = 1 if low is None else low + (1 if "exclusiveMinimum" in schema else 0)
    if high is not None and value > high:
        value = high - (1 if "exclusiveMaximum" in schema else 0)
    return int(value) if whole else float(value)


def _resolve(root: Mapping[str, Any], ref: str) -> Any:
    schema: Any = root
    for part in ref.removeprefix("#").split("/"):
        if part:
            schema = schema.get(part, {}) if isinstance(schema, Mapping) else {}
    return schema
