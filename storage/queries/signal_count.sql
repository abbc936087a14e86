-- Counts one more signal under the execution's row lock and says where it stands. First statement of a signal: what
-- follows runs with a later snapshot, so that it sees a park that was committed meanwhile.
-- $1 id uuid
-- Index: execution_pkey.
UPDATE execution
SET signals = signals + 1
WHERE id = $1::uuid
RETURNING state, lease_id, signals, last_seq, queue, priority
