"""Undoing an import."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

from database import execute

ID = "2026-11-23T08:00:00:000002"
VERSION = "1.38.0"
DESCRIPTION = "Undoing an import."

FORWARDS = """
CREATE TABLE membership.import_change (
    import_id bigint NOT NULL REFERENCES stores.import_run,
    member_id bigint NOT NULL REFERENCES membership.member,
    before jsonb NOT NULL,
    after jsonb NOT NULL,
    PRIMARY KEY (import_id, member_id)
);
COMMENT ON TABLE membership.import_change IS 'what an import changed of members there were, so that it can be undone';
CREATE INDEX import_change_of_member ON membership.import_change (member_id);

-- Members and what is told of them are never deleted, but by the undoing of the import that made them, which says so in a setting
-- of its transaction; and then nothing else is.
CREATE FUNCTION membership.refuse_unless_undoing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND coalesce(current_setting('regulars.undoing_import', true), '') <> '' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% rows cannot be changed or deleted', TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE FUNCTION membership.check_undoing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM (SELECT DISTINCT member_id FROM deleted) d JOIN membership.member m ON m.id = d.member_id
        WHERE m.source->>'import_id' IS DISTINCT FROM current_setting('regulars.undoing_import', true))
    THEN
        RAISE EXCEPTION 'rows of a member that this import did not add' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION membership.check_undoing_member() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM deleted WHERE source->>'import_id' IS DISTINCT FROM current_setting('regulars.undoing_import', true))
    THEN
        RAISE EXCEPTION 'a member that this import did not add' USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NULL;
END $$;
DROP TRIGGER append_only ON membership.event;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON membership.event
    FOR EACH STATEMENT EXECUTE FUNCTION membership.refuse_unless_undoing();
CREATE TRIGGER check_undoing AFTER DELETE ON membership.event REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION membership.check_undoing();
DROP TRIGGER append_only ON membership.consent;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON membership.consent
    FOR EACH STATEMENT EXECUTE FUNCTION membership.refuse_unless_undoing();
CREATE TRIGGER check_undoing AFTER DELETE ON membership.consent REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION membership.check_undoing();
DROP TRIGGER keep ON membership.member;
CREATE TRIGGER keep BEFORE DELETE OR TRUNCATE ON membership.member
    FOR EACH STATEMENT EXECUTE FUNCTION membership.refuse_unless_undoing();
CREATE TRIGGER check_undoing AFTER DELETE ON membership.member REFERENCING OLD TABLE AS deleted
    FOR EACH STATEMENT EXECUTE FUNCTION membership.check_undoing_member();
"""

BACKWARDS = """
DROP TABLE membership.import_change;
DROP TRIGGER check_undoing ON membership.event;
DROP TRIGGER append_only ON membership.event;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON membership.event
    FOR EACH STATEMENT EXECUTE FUNCTION stores.refuse_change();
DROP TRIGGER check_undoing ON membership.consent;
DROP TRIGGER append_only ON membership.consent;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON membership.consent
    FOR EACH STATEMENT EXECUTE FUNCTION stores.refuse_change();
DROP TRIGGER check_undoing ON membership.member;
DROP TRIGGER keep ON membership.member;
CREATE TRIGGER keep BEFORE DELETE ON membership.member FOR EACH STATEMENT EXECUTE FUNCTION stores.refuse_change();
DROP FUNCTION membership.refuse_unless_undoing(), membership.check_undoing(), membership.check_undoing_member();
"""


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="membership", description=DESCRIPTION)

    async def up() -> None:
        await execute(FORWARDS)

    async def down() -> None:
        await execute(BACKWARDS)

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
