"""What a delivery decides: whether another attempt may follow, and what a provider is sent."""

import pytest

from outlive.shared.log.replies import ReplyCode, TakeReply
from outlive.shared.model.codec import encode_json
from outlive.shared.model.generation import ECHO
from outlive.worker.job import may_restart, upstream_request


def test_the_provider_is_not_told_what_the_api_keeps_for_itself() -> None:
    """All else goes as it is."""
    asked = {"model": "demo", "messages": [], "top_k": 3}
    assert upstream_request(encode_json(asked | {ECHO: {"instructions": "x"}})) == asked
    assert upstream_request(encode_json(asked)) == asked


@pytest.mark.parametrize(
    ("wanted", "counted", "may"), [(True, 1, True), (True, 2, True), (True, 3, False), (False, 1, False)]
)
def test_an_interrupted_attempt_is_followed_by_another_if_it_may(wanted: bool, counted: int, may: bool) -> None:
    """The caller must want it (`on_interrupt`), and attempts must be left."""
    taken = TakeReply(ReplyCode.OK, epoch=1, attempt=counted, counted=counted, may_restart=wanted)
    assert may_restart(taken, 3) is may
