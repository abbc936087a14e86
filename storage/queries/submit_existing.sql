-- The executions that own keys. In a statement of its own: the flush's snapshot may be older than they are.
-- $1 key uuid[]
-- Index: request_key_pkey.
SELECT k.key, k.execution_id, k.request_hash
FROM request_key AS k
WHERE k.key = ANY ($1::uuid[])
