-- What start-up refuses to run on.
-- Index: none.
SELECT current_setting('server_version_num')::int,
       current_setting('fsync')::bool,
       current_setting('synchronous_commit') <> 'off',
       pg_is_in_recovery() OR current_setting('transaction_read_only')::bool,
       to_regclass('schema_migration') IS NOT NULL
