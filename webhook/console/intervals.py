"""What a share of few can say of the share of many: intervals of 95 %. Pure.

Wilson (1927) for one share, Newcombe's hybrid score interval (1998, method 10) for the difference of two: both hold for
shares near 0 and 1 and for few, where mean ± 1.96 standard errors does not.
"""

from math import sqrt

Z = 1.959964  # 95 %


def wilson(hits: int, of: int, z: float = Z) -> tuple[float, float]:
    """(low, high) of a share, 0 to 1; of none: (0, 1)."""
    if of <= 0:
        return 0.0, 1.0
    share = hits / of
    middle, square = share + z * z / (2 * of), z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    low, high = (middle - square) / scale, (middle + square) / scale
    return (0.0 if hits == 0 else max(0.0, low)), (1.0 if hits == of else min(1.0, high))


def newcombe(hits: int, of: int, other_hits: int, other_of: int, z: float = Z) -> tuple[float, float]:
    """(low, high) of the first share minus the other, -1 to 1; with none of either: (-1, 1)."""
    if of <= 0 or other_of <= 0:
        return -1.0, 1.0
    share, other = hits / of, other_hits / other_of
    (low, high), (other_low, other_high) = wilson(hits, of, z), wilson(other_hits, other_of, z)
    difference = share - other
    down = sqrt((share - low) ** 2 + (other_high - other) ** 2)
    up = sqrt((high - share) ** 2 + (other - other_low) ** 2)
    return difference - down, difference + up
