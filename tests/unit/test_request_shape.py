"""What an upstream is sent of a request."""

from typing import Any

import pytest

from outlive.worker.upstream.request_shape import RequestShape

pytestmark = pytest.mark.rule("R70")

ASKED: dict[str, Any] = {"model": "m", "messages": [{"role": "developer", "content": "Be short."}], "temperature": None}


def test_a_request_goes_out_as_it_came_but_for_what_says_nothing() -> None:
    """Null members are left out, because strict servers refuse them; the name of the upstream is ours."""
    body = RequestShape().body(ASKED | {"upstream": "main", "unheard_of": 1})
    assert body == {
        "model": "m", "messages": ASKED["messages"], "unheard_of": 1, "stream": True,
        "stream_options": {"include_usage": True},
    }  # fmt: skip


def test_an_upstream_s_settings_drop_rename_and_map_roles() -> None:
    """For servers that refuse what others require."""
    shape = RequestShape(
        frozenset({"user"}), {"max_completion_tokens": "max_tokens"}, {"developer": "system"}, has_stream_options=False
    )
    body = shape.body(ASKED | {"user": "u", "max_completion_tokens": 5, "stream_options": {"include_usage": True}})
    assert body == {
        "model": "m", "messages": [{"role": "system", "content": "Be short."}], "max_tokens": 5, "stream": True,
    }  # fmt: skip


def test_a_refused_member_is_left_out_from_then_on() -> None:
    """Asked once more without it, and remembered; a refusal that names nothing of ours changes nothing."""
    shape = RequestShape()
    body = shape.body(ASKED)
    assert not shape.learn(400, "temperature is too high", body)
    assert not shape.learn(500, "stream_options", body)
    assert shape.learn(422, "body.stream_options: Extra inputs are not permitted", body)
    body = shape.body(ASKED)
    assert "stream_options" not in body
    assert not shape.learn(422, "body.stream_options: Extra inputs are not permitted", body)
    assert shape.learn(400, "messages[0].role: unknown variant `developer`", body)
    assert shape.body(ASKED)["messages"][0]["role"] == "system"
