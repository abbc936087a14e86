-- How long until the next parked execution is due, in microseconds; NULL when none is parked.
-- Index: parked_due.
SELECT (extract(epoch FROM (
  SELECT p.due_at FROM parked AS p ORDER BY p.due_at LIMIT 1
) - clock_timestamp()) * 1000000)::bigint
