"""The fit of the scale benchmark finds the values that were put in."""

import pytest

from tests.bench.fit import growth


@pytest.mark.parametrize(("power", "factor"), [(1, 3.0), (2, 0.5), (0.5, 7.0)])
def test_the_exponent_of_a_power_is_found(power: float, factor: float) -> None:
    """Whatever its factor."""
    amounts = [1, 10, 100, 1000]
    assert growth(amounts, [factor * one**power for one in amounts]).exponent == pytest.approx(power)


def test_a_cost_that_is_there_anyway_is_the_base() -> None:
    """Then the exponent is below one: twice the amount costs less than twice as much."""
    found = growth([10, 20, 40], [105, 110, 120])
    assert found.base == pytest.approx(100)
    assert found.each == pytest.approx(0.5)
    assert found.exponent < 0.2
