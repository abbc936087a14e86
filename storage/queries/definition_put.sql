-- Stores a definition as the next version of its name, unless its newest one is the same (or, for one that comes with the
-- program, any is). Returns the version that is there now and whether it was made. The caller holds the lock of
-- definition_lock.sql.
-- $1 name text, $2 digest text, $3 body bytea, $4 caller text, $5 only if it was never there bool
-- Index: definition_pkey, definition_digest.
WITH newest AS MATERIALIZED (
  SELECT d.version, d.digest
  FROM definition AS d
  WHERE d.name = $1::text
  ORDER BY d.version DESC
  LIMIT 1
),
made AS (
  INSERT INTO definition (name, version, digest, body, caller)
  SELECT $1::text, coalesce((SELECT n.version FROM newest AS n), 0) + 1, $2::text, $3::bytea, $4::text
  WHERE NOT EXISTS (SELECT FROM newest AS n WHERE n.digest = $2::text)
    AND NOT ($5::bool AND EXISTS (SELECT FROM definition AS d WHERE d.name = $1::text AND d.digest = $2::text))
  RETURNING version
)
SELECT m.version IS NOT NULL
FROM (VALUES (1)) AS one (row)
LEFT JOIN made AS m ON true
