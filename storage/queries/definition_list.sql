-- The newest definition of every name, by name.
-- Index: definition_pkey.
SELECT DISTINCT ON (d.name) d.name, d.version, d.digest, d.body, d.caller, d.created_at
FROM definition AS d
ORDER BY d.name, d.version DESC
