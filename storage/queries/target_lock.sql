-- Locks targets, in order, and reads them: who holds them, who waits, what keeps everybody from them; and the clock.
-- $1 key text[]
-- Index: target_pkey.
SELECT t.key, t.holder, t.held_at, t.waiting, t.waiting_for, t.failures, t.backoff_until, t.blocked_by, t.blocked_at,
       t.block_message, t.last_action, t.last_success_at, clock_timestamp()
FROM target AS t
WHERE t.key = ANY ($1::text[])
ORDER BY t.key
FOR UPDATE
