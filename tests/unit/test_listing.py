"""Positions in the list of generations, and the page after one."""

import pytest

from outlive.shared.errors import BadRequest
from outlive.shared.log.listing import ListPosition, page_of
from tests.support.ids import fresh_id

ID = "gen_" + "a" * 32
OLDER = [ListPosition(ms, fresh_id()) for ms in (1, 2, 3)]
TWINS = [ListPosition(5, "gen_" + digit * 32) for digit in "0f7"]


def test_a_position_reads_back_what_it_writes() -> None:
    """It is the `next` of a page, and comes back as `before`."""
    position = ListPosition(1_700_000_000_123, ID)
    assert ListPosition.parse(str(position)) == position


@pytest.mark.parametrize(
    "text", ["", "-", ID, f"-{ID}", f"1.5-{ID}", f"-1-{ID}", f"\u0663-{ID}", f"{'9' * 16}-{ID}", "1-gen_x", f"1-{ID} "]
)
def test_another_text_is_refused_with_what_to_send(text: str) -> None:
    """A number too long for a score would be another one in Redis."""
    with pytest.raises(BadRequest, match="`next`"):
        ListPosition.parse(text)


def test_a_page_is_newest_first_and_no_longer_than_asked() -> None:
    """Whatever order the partitions reply in."""
    assert page_of(OLDER, None, 2) == [OLDER[2], OLDER[1]]


def test_within_one_millisecond_the_id_decides() -> None:
    """So the next page goes on after exactly the last generation of this one."""
    first = page_of(TWINS, None, 2)
    assert [position.id[4] for position in first] == ["f", "7"]
    assert page_of([*TWINS, *OLDER], first[-1], 10) == [TWINS[0], *reversed(OLDER)]
