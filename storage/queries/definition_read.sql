-- One definition of a name: the newest, or the newest with a digest.
-- $1 name text, $2 digest text (NULL: any)
-- Index: definition_pkey, definition_digest.
SELECT d.name, d.version, d.digest, d.body, d.caller, d.created_at
FROM definition AS d
WHERE d.name = $1::text
  AND ($2::text IS NULL OR d.digest = $2::text)
ORDER BY d.version DESC
LIMIT 1
