"""A document with one value replaced by what nobody expects there."""

import copy

ODD = [
    *(None, True, 0, -1, 1.5, 10**30, 2**63, 10**400),
    *(float("nan"), float("inf"), 1e308),
    *("", "x", "\ud800", "\x00", "a" * 10_000, "../x", "999999999.0.0"),
    *([], [[]], [None], ["a", 1], {}, {"a": {}}, {"": None}, [{"a": [1]}]),
    *({"$float": "nan"}, {"$array": ["<U100000000", [1], ["a"]]}),
    *({"$numpy": ["(1 1)f4", 1]}, {"$bytes": "x"}, {"dtype": "O", "values": [1]}),
]


def places_in(value, place=()):
    """Give the path of each value in a document, the whole of it first."""
    yield place
    if isinstance(value, dict):
        for key in value:
            yield from places_in(value[key], (*place, key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from places_in(item, (*place, index))


def with_odd(document, place, odd):
    """Return a copy with another value at a place."""
    if not place:
        return odd
    changed = copy.deepcopy(document)
    at = changed
    for part in place[:-1]:
        at = at[part]
    at[place[-1]] = odd
    return changed
