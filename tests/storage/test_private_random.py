"""Libraries that wait for a random time do not touch python's global generator."""

import random
import sys
from types import ModuleType

import pytest

from flwr_registry.storage import LocalStorageBackend, bounded_storage
from flwr_registry.storage.private_random import give_own_generators

# How retries of storage libraries draw their pauses.
DRAWS = """
import random
from random import uniform

def by_module():
    return random.random() + random.uniform(0, 1)

def by_name():
    return uniform(0, 1)

def by_default(draw=random.random):
    return draw()

class Policy:
    def pause(self, draw=random.random):
        return draw()

by_method = Policy().pause

def shuffled():
    values = list(range(10))
    random.shuffle(values)
    return random.Random(7).random() == 0.32383276483316237
"""


@pytest.mark.parametrize(
    "name", ["by_module", "by_name", "by_default", "by_method", "shuffled"]
)
def test_a_library_draws_from_its_own_generator(monkeypatch, tmp_path, name):
    library = ModuleType(f"gcsfs.{name}")
    exec(DRAWS, library.__dict__)
    monkeypatch.setitem(sys.modules, library.__name__, library)
    bounded_storage(LocalStorageBackend(tmp_path))
    before = random.getstate()
    assert getattr(library, name)()
    assert random.getstate() == before


def test_other_modules_stay_as_they_are(monkeypatch):
    mine = ModuleType("my_training")
    mine.random = random
    monkeypatch.setitem(sys.modules, mine.__name__, mine)
    give_own_generators()
    assert mine.random is random
