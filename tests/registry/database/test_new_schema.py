"""The schema in one step, whatever else the process made before."""

from itertools import permutations

import pytest

from flwr_registry.registry.database import new_schema

DIALECTS = ("postgresql", "sqlite")


@pytest.mark.parametrize("order", list(permutations(DIALECTS)), ids="-".join)
def test_the_schema_of_one_database_leaves_that_of_another_as_it_is(order):
    new_schema._statements.cache_clear()
    made = {name: new_schema._statements(name) for name in order}
    for statements in made.values():
        text = "\n".join(statements)
        assert text.count("CONSTRAINT fk_rounds_measured_version ") == 1
        assert text.count("CONSTRAINT fk_rounds_run ") == 1
