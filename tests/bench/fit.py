"""Owns how a cost grows: a line through it, and the exponent of its growth, by least squares. Pure."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Growth(NamedTuple):
    """cost = base + each * amount, and the exponent with which the cost grows."""

    base: float
    each: float
    exponent: float
    """1: the cost grows in proportion. Less: a part of it is constant. More: it grows faster than the amount."""


def growth(amounts: Sequence[float], costs: Sequence[float]) -> Growth:
    """Fit the measured costs at two amounts or more, all above zero."""
    base, each = _line(amounts, costs)
    _, exponent = _line([math.log(a) for a in amounts], [math.log(max(c, 1e-9)) for c in costs])
    return Growth(base, each, exponent)


def _line(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """Where the line begins, and its slope."""
    x, y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((one - x) ** 2 for one in xs)
    slope = sum((one - x) * (other - y) for one, other in zip(xs, ys, strict=True)) / spread
    return y - slope * x, slope
