-- The end of the feed now, and what identifies this database and its timeline.
-- Index: none.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text,
       (SELECT c.system_identifier::text FROM pg_control_system() AS c)
         || '.' || left(pg_walfile_name(pg_current_wal_lsn()), 8)
         || '.' || (SELECT d.oid::text FROM pg_database AS d WHERE d.datname = current_database())
