-- Targets that are held, waited for or kept from everybody, above a key, by key; columns as target_read.sql.
-- $1 above this key text, $2 limit bigint
-- Index: target_pkey.
SELECT t.key, t.holder, t.held_at, t.waiting, t.waiting_for, t.failures, t.backoff_until, t.blocked_by, t.blocked_at,
       t.block_message, t.last_action, t.last_success_at, clock_timestamp()
FROM target AS t
WHERE t.key > $1::text
  AND (t.holder IS NOT NULL OR t.blocked_by IS NOT NULL OR cardinality(t.waiting) > 0
       OR t.backoff_until > clock_timestamp())
ORDER BY t.key
LIMIT $2::bigint
