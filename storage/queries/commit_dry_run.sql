-- Notes requests that succeeded as dry runs, by steps that have just passed commit.sql in the same transaction.
-- $1 key text[] (sorted, each once)
-- Index: dry_run_pkey.
INSERT INTO dry_run (key)
SELECT i.key
FROM unnest($1::text[]) AS i (key)
ON CONFLICT (key) DO UPDATE
SET at = clock_timestamp()
