-- One target, as target_lock.sql without the lock.
-- $1 key text
-- Index: target_pkey.
SELECT t.key, t.holder, t.held_at, t.waiting, t.waiting_for, t.failures, t.backoff_until, t.blocked_by, t.blocked_at,
       t.block_message, t.last_action, t.last_success_at, clock_timestamp()
FROM target AS t
WHERE t.key = $1::text
