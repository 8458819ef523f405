"""Looking at a caller's variables keeps none of them."""

import gc
import sys
import weakref

from flwr_registry.strategy.hooks.caller_locals import locals_of


class Large:
    """Something that must not be held."""


def look():
    with locals_of(sys._getframe(1)) as seen:
        return dict(seen)


def test_variables_are_seen_and_not_held():
    value = Large()
    held = weakref.ref(value)
    assert look()["value"] is value
    value = None
    gc.collect()
    assert held() is None
    assert look()["value"] is None


def test_a_function_goes_on_with_its_variables():
    first, second = 1, [2]
    look()
    assert (first, second) == (1, [2])
    first = 3
    assert look()["first"] == 3


def test_variables_of_a_module_stay():
    names = {"look": look}
    exec("kept = 1\nfound = look()\nagain = kept", names)
    assert names["kept"] == names["again"] == names["found"]["kept"] == 1
