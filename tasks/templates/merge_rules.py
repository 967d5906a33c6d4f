"""Three-way merge of two lists of rules: rule by rule, then their order. Pure.

A rule may be unnamed, changed, renamed and moved at once. So the rules of each side are first matched with those that
both began from: by content, by name, and by place where conditions or welcome stayed the same. A rule has the same key
on both sides then.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

from tasks.templates.edits import Content


def keyed(original: Content, *sides: Content) -> list[dict[str, Any]]:
    """Key → rule of the original and of each side, in their order.

    A rule of the original has its digest as its key; the key of a new one begins with +.
    """
    digests = [original.digest_of(rule) for rule in original.rules]
    before: dict[str, Any] = {}
    for digest, rule in zip(digests, original.rules, strict=True):
        before[_free(digest, before)] = rule
    keys, lists = list(before), [before]
    for side in sides:
        own = [side.digest_of(rule) for rule in side.rules]
        found: dict[str, Any] = {}
        for rule, digest, number in zip(side.rules, own, _matched(original, digests, side, own), strict=True):
            key = keys[number] if number is not None else f"+{rule.get('name') or digest}"
            found[_free(key, found)] = rule
        lists.append(found)
    return lists


def in_order(before: Sequence[str], yours: Sequence[str], theirs: Sequence[str], side: str = "") -> list[str] | None:
    """The keys of both sides in an order that has the moves of both. None: their moves contradict each other.

    A rule that only one side has follows the one that it follows there. `side`: "yours" or "theirs" decides the order
    of the rules that both have.
    """
    both = set(yours) & set(theirs)
    mine, other = ([key for key in keys if key in both] for keys in (yours, theirs))
    common = mine if side == "yours" else other if side == "theirs" else _both_moved(before, mine, other)
    if common is None:
        return None
    return inserted(inserted(common, theirs), yours)


def moved(before: Iterable[str], after: Iterable[str]) -> list[str]:
    """Those of `after` that stand elsewhere among what both have, as few as explain the new order."""
    known = {key: number for number, key in enumerate(before)}
    shared = [key for key in after if key in known]
    staying = set(_longest_rise(shared, known))
    return [key for key in shared if key not in staying]


# ------------------------------------------------------------------------------------------------ matching


def _matched(original: Content, before: list[str], side: Content, after: list[str]) -> list[int | None]:
    """For each rule of a side the number of the original's rule that it is; None for a new one. With their digests."""
    found: list[int | None] = [None] * len(after)
    left = dict(enumerate(original.rules))
    for old, new in ((before, after), (_names(original), _names(side))):
        waiting: dict[str, list[int]] = {}
        for number in left:
            waiting.setdefault(old[number], []).append(number)
        for at, known in enumerate(new):
            if found[at] is None and known and waiting.get(known):
                found[at] = number = waiting[known].pop(0)
                del left[number]
    for at, rule in enumerate(side.rules):
        if found[at] is None:
            number = next((n for n in _beside(found, at) if n in left and _alike(left[n], rule)), -1)
            if number >= 0:
                found[at] = number
                del left[number]
    return found


def _names(content: Content) -> list[str]:
    return [str(rule.get("name", "")) for rule in content.rules]


def _beside(found: list[int | None], at: int) -> Iterable[int]:
    """The numbers in the original of what follows the rule above, and of what precedes the rule below."""
    above = found[at - 1] if at else -1
    below = found[at + 1] if at + 1 < len(found) else None
    return [*([above + 1] if above is not None else []), *([below - 1] if below is not None else [])]


def _alike(one: Any, other: Any) -> bool:
    """Whether two rules of the same place are one that was changed: not where both conditions and welcome differ."""
    return bool(one.get("when") == other.get("when") or one.get("use") == other.get("use"))


def _free(key: str, taken: Mapping[str, Any]) -> str:
    """The key, with a number if another rule says the same."""
    name, number = key, 1
    while name in taken:
        number += 1
        name = f"{key}#{number}"
    return name


# ------------------------------------------------------------------------------------------------ order


def _both_moved(before: Sequence[str], mine: list[str], other: list[str]) -> list[str] | None:
    """The order of the keys that both sides have: two of them change places if either side says so."""
    old, here = ({key: number for number, key in enumerate(keys)} for keys in (before, mine))
    shared = [key for key in before if key in here]
    if mine == other or [key for key in mine if key in old] == shared:
        return other
    if [key for key in other if key in old] == shared:
        return mine
    above = dict.fromkeys(other, 0)  # how many stand above each
    for one, two in combinations(other, 2):  # on their side `one` is above `two`
        moved_here = one in old and two in old and (old[one] < old[two]) != (here[one] < here[two])
        above[one if moved_here and here[two] < here[one] else two] += 1
    return sorted(other, key=above.__getitem__) if sorted(above.values()) == list(range(len(other))) else None


def inserted(keys: list[str], side: Sequence[str]) -> list[str]:
    """The keys, and those of a side that are not among them, each below the one that it follows there."""
    found, known = list(keys), set(keys)
    above: str | None = None
    for key in side:
        if key not in known:
            found.insert(found.index(above) + 1 if above is not None else 0, key)
            known.add(key)
        above = key
    return found


def _longest_rise(keys: list[str], place: Mapping[str, int]) -> list[str]:
    """The longest part of `keys` whose places rise (patience sorting)."""
    tops: list[str] = []  # the last key of the best rise of each length
    before: dict[str, str | None] = {}
    for key in keys:
        length = bisect_left(tops, place[key], key=place.__getitem__)
        before[key] = tops[length - 1] if length else None
        tops[length : length + 1] = [key]
    found: list[str] = []
    last = tops[-1] if tops else None
    while last is not None:
        found.append(last)
        last = before[last]
    return found[::-1]
