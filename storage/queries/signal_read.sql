-- Signals of an execution above a number, in order.
-- $1 execution_id uuid, $2 after int
-- Index: signal_pkey.
SELECT s.number, s.kind, s.caller, s.reason, s.at, s.detail
FROM signal AS s
WHERE s.execution_id = $1::uuid
  AND s.number > $2::int
ORDER BY s.number
