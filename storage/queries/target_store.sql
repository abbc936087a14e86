-- Writes targets that this transaction has locked.
-- $1 rows text (JSON array of objects with the columns of target)
-- Index: target_pkey.
UPDATE target AS t
SET holder = i.holder,
    held_at = i.held_at,
    waiting = i.waiting,
    waiting_for = i.waiting_for,
    failures = i.failures,
    backoff_until = i.backoff_until,
    blocked_by = i.blocked_by,
    blocked_at = i.blocked_at,
    block_message = i.block_message,
    last_action = i.last_action,
    last_success_at = i.last_success_at
FROM jsonb_to_recordset($1::text::jsonb) AS i (
  key text, holder uuid, held_at timestamptz, waiting uuid[], waiting_for text[], failures int, backoff_until timestamptz,
  blocked_by uuid, blocked_at timestamptz, block_message text, last_action text, last_success_at timestamptz)
WHERE t.key = i.key
