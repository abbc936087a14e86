-- Makes the rows of targets that have none yet.
-- $1 key text[] (sorted)
-- Index: target_pkey.
INSERT INTO target (key)
SELECT i.key
FROM unnest($1::text[]) AS i (key)
ON CONFLICT (key) DO NOTHING
