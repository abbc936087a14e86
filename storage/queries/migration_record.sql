-- Notes that a migration was applied.
-- $1 version int, $2 name text
-- Index: schema_migration_pkey.
INSERT INTO schema_migration (version, name)
VALUES ($1::int, $2::text)
