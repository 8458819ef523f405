"""Triggers by which the database itself keeps the audit log append-only."""

__all__ = ["POSTGRESQL_GUARDS", "SQLITE_GUARDS"]

SQLITE_GUARDS = (
    """
    CREATE TRIGGER model_audit_logs_no_update BEFORE UPDATE ON model_audit_logs
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    """
    CREATE TRIGGER model_audit_logs_no_delete BEFORE DELETE ON model_audit_logs
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    # INSERT OR REPLACE deletes without asking the trigger above.
    """
    CREATE TRIGGER model_audit_logs_no_replace BEFORE INSERT ON model_audit_logs
    WHEN EXISTS (
        SELECT 1 FROM model_audit_logs WHERE id = NEW.id
        OR entry_hash = NEW.entry_hash OR previous_hash = NEW.previous_hash
    )
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
)
POSTGRESQL_GUARDS = (
    """
    CREATE FUNCTION model_audit_logs_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$
    """,
    """
    CREATE TRIGGER model_audit_logs_no_change BEFORE UPDATE OR DELETE
    ON model_audit_logs FOR EACH ROW EXECUTE FUNCTION model_audit_logs_append_only()
    """,
    """
    CREATE TRIGGER model_audit_logs_no_truncate BEFORE TRUNCATE
    ON model_audit_logs EXECUTE FUNCTION model_audit_logs_append_only()
    """,
)
