-- The newest migration that was applied; 0 for none.
-- Index: schema_migration_pkey.
SELECT coalesce(max(version), 0) FROM schema_migration
