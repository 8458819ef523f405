"""What the database itself refuses, whatever the code does."""

import pytest
from registry.samples import facts_of, weights_of
from sqlalchemy.exc import DBAPIError


@pytest.fixture
def refused(sql):
    def check(statement, **values):
        with pytest.raises(DBAPIError) as raised:
            sql(statement, **values)
        return str(raised.value.orig)

    return check


@pytest.fixture(autouse=True)
def three_versions(add):
    add(1)
    add(2, parent="1.0.0")
    add(1, model="letters")


def test_a_dangling_parent(refused):
    refused("UPDATE model_versions SET parent_id = 777, parent_version = '7.7.7'")


def test_a_parent_by_another_number_or_of_another_model(refused):
    set_parent = "UPDATE model_versions SET parent_id = 1, parent_version = :version"
    refused(set_parent + " WHERE id = 2", version="1.1.0")
    refused(set_parent + " WHERE id = 3", version="1.0.0")
    refused("UPDATE model_versions SET parent_version = NULL WHERE id = 2")


def test_a_parent_that_is_no_elder(refused):
    refused(
        "UPDATE model_versions SET parent_id = 2, parent_version = '1.1.0' "
        "WHERE id <= 2"
    )


def test_a_parent_cannot_be_deleted(refused):
    refused("DELETE FROM model_versions WHERE id = 1")


def test_two_productions(sql, refused):
    promote = "UPDATE model_versions SET is_production = true, status = 'active'"
    refused(promote)
    sql(promote + " WHERE id = 1")
    refused(promote + " WHERE id = 2")
    sql(promote + " WHERE id = 3")


def test_a_production_that_is_not_active(refused):
    refused("UPDATE model_versions SET is_production = true WHERE id = 1")


def test_an_unknown_status(refused):
    refused("UPDATE model_versions SET status = 'great' WHERE id = 1")


def test_a_number_that_differs_from_the_text(refused):
    refused("UPDATE model_versions SET minor = 7 WHERE id = 1")
    refused("UPDATE model_versions SET version = '01.0.0' WHERE id = 1")


def test_a_version_twice(refused):
    refused("UPDATE model_versions SET version = '1.0.0', minor = 0 WHERE id = 2")


def test_a_round_twice_and_a_node_twice(registry, start, add, sql, refused):

    add(5, run=start(), facts=facts_of(1, "node"))
    refused(
        "INSERT INTO rounds (run_id, server_round, status, metrics, errors, "
        "created_at) SELECT run_id, server_round, status, metrics, errors, created_at "
        "FROM rounds"
    )
    refused(
        "INSERT INTO contributions (round_id, node_id, status, metrics, error_reason) "
        "SELECT round_id, node_id, status, metrics, error_reason FROM contributions"
    )
    refused("UPDATE contributions SET round_id = 777")
    refused("UPDATE rounds SET measured_version_id = 777")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE model_audit_logs SET actor = 'nobody'",
        "DELETE FROM model_audit_logs",
        "DELETE FROM model_audit_logs WHERE id = 1",
    ],
)
def test_a_changed_audit_log(statement, sql, refused):
    before = sql("SELECT * FROM model_audit_logs ORDER BY id")
    assert "append-only" in refused(statement)
    assert sql("SELECT * FROM model_audit_logs ORDER BY id") == before


def test_an_audit_entry_that_is_replaced_or_forked(sql, refused, database_url):
    columns = (
        "id, timestamp, action, actor, model, version, reason, details, "
        "previous_hash, entry_hash"
    )
    same = f"INTO model_audit_logs ({columns}) SELECT {columns} FROM model_audit_logs"
    refused(f"INSERT {same}")
    if database_url.startswith("sqlite"):
        assert "append-only" in refused(f"INSERT OR REPLACE {same}")
    else:
        assert "append-only" in refused("TRUNCATE model_audit_logs")
    other = columns.replace("id, ", "", 1).replace("entry_hash", "'x'")
    into = columns.replace("id, ", "", 1)
    refused(
        f"INSERT INTO model_audit_logs ({into}) SELECT {other} FROM model_audit_logs "
        "WHERE id = 1"
    )


def test_large_files_and_long_node_ids(registry, start, sql):

    node = str(2**64 - 1)
    registry.register(
        weights_of(9), model="digits", run=start(), facts=facts_of(1, node)
    )
    sql("UPDATE model_versions SET file_size_bytes = 3000000000")
    assert registry.latest("digits").file_size_bytes == 3_000_000_000
    assert registry.contributions("digits")[0].node_id == node
