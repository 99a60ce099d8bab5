"""What a schema says of a value: within bounds, whoever wrote the two."""

from typing import Any

import pytest

from outlive.shared.model.schema_check import MAX, asked_schema, findings, schema_error

_NO_NULL = "1 is not of type 'null'"
_DOUBLING = {
    "$defs": {f"a{i}": {"allOf": [{"$ref": f"#/$defs/a{i + 1}"}] * 2} for i in range(40)},
    "$ref": "#/$defs/a0",
}


@pytest.mark.rule("R34")
@pytest.mark.parametrize(
    ("schema", "value", "found"),
    [
        ({"type": "object"}, {}, []),
        (True, 1, []),
        (False, 1, [("", "False schema does not allow 1")]),
        ({"properties": {"a/b": {"items": {"type": "null"}}}}, {"a/b": [None, 1]}, [("/a~1b/1", _NO_NULL)]),
        ({"required": ["a"]}, {}, [("", "'a' is a required property")]),
        ({"$defs": {"n": {"type": "null"}}, "items": {"$ref": "#/$defs/n"}}, [1], [("/0", _NO_NULL)]),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "items": [{"type": "null"}]}, [1], [("/0", _NO_NULL)]),
    ],
)  # fmt: skip
def test_what_is_broken_is_found_where_it_is(schema: Any, value: Any, found: list[tuple[str, str]]) -> None:
    """With the place as a pointer."""
    assert schema_error(schema) is None
    assert findings(schema, value) == found


@pytest.mark.parametrize(
    "schema",
    [
        1,
        [],
        "x",
        None,
        {"type": "nothing"},
        {"properties": {"a": {"minimum": "x"}}},
        {"required": "a"},
        {"$schema": [1]},
    ],
)
def test_what_is_no_schema_is_named(schema: Any) -> None:
    """With the place in it."""
    assert schema_error(schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (_DOUBLING, 1),
        (_DOUBLING | {"$schema": "https://json-schema.org/draft/2020-12/schema"}, 1),
        ({"properties": {"x": {"$schema": "https://json-schema.org/draft/2020-12/schema", **_DOUBLING}}}, {"x": 1}),
        ({"$ref": "#"}, 1),
        ({"multipleOf": 0.1}, 10**400),
        ({"$ref": "http://127.0.0.1:1/schema.json"}, 1),
        ({"$ref": "#/nowhere"}, 1),
    ],
)
def test_a_schema_that_asks_too_much_is_told_so(schema: Any, value: Any) -> None:
    """Endless, or elsewhere: one finding, and nothing is fetched."""
    assert [finding.path for finding in findings(schema, value)] == [""]


@pytest.mark.parametrize(
    "schema",
    [
        {"additionalProperties": {"pattern": "(a+)+$"}},
        {"patternProperties": {"(a+)+$": {"type": "null"}}, "additionalProperties": False},
        {"patternProperties": {"(a+)+$": True}, "unevaluatedProperties": False},
    ],
)
def test_no_regular_expression_is_tried(schema: Any) -> None:
    """These would run until the end of days."""
    hard = "a" * 60 + "!"
    assert findings(schema, {hard: hard}) == []


@pytest.mark.parametrize(
    "schema",
    [
        {"$schema": "http://json-schema.org/draft-04/schema#", "enum": [*range(20_000), "a"]},
        {"properties": {f"p{n}": {} for n in range(50_000)}},
        {"anyOf": [{}] * 50_000},
        {"type": ["string"] * 100_000},
    ],
    ids=["enum", "properties", "anyOf", "type"],
)
@pytest.mark.timeout(30)
def test_a_schema_that_would_take_for_ever_is_refused(schema: Any) -> None:
    """Older drafts compare all values of an `enum` with each other, and each part takes its time."""
    assert "larger than this server checks" in (schema_error(schema) or "")


def test_as_large_a_schema_as_providers_take_is_one() -> None:
    """1,000 values, and 5,000 properties would go as well, but take their time."""
    properties = {f"p{n}": {"type": "string", "description": "x"} for n in range(500)}
    assert schema_error({"type": "object", "properties": properties, "enum": [f"v{n}" for n in range(1_000)]}) is None


def test_findings_are_few_and_short() -> None:
    """A terminal must stay small, whatever was broken how often."""
    found = findings({"additionalProperties": {"type": "null"}}, {f"{i}" + "k" * 9000: "v" * 9000 for i in range(99)})
    assert len(found) == MAX
    assert all(len(path) <= 200 and len(message) <= 200 for path, message in found)


@pytest.mark.parametrize(
    ("wanted", "schema"),
    [
        (None, None), ("json", None), ({}, None), ({"type": "text"}, None), ({"type": "grammar"}, None),
        ({"type": "json_object"}, {"type": "object"}), ({"type": "json_schema"}, True),
        ({"type": "json_schema", "json_schema": {"schema": {"a": 1}}}, {"a": 1}),
    ],
)  # fmt: skip
def test_what_is_asked_for_is_read_from_the_request(wanted: Any, schema: Any) -> None:
    """None wherever JSON is not asked for."""
    assert asked_schema({"response_format": wanted}) == schema
