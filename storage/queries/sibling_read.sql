-- Executions of parents that are in flight, and the first of those that wait in line, in the order of their submission.
-- $1 parent text[], $2 limit of those that wait, for each parent bigint
-- Index: sibling_line.
SELECT i.parent, s.execution_id, s.in_flight
FROM unnest($1::text[]) AS i (parent)
CROSS JOIN LATERAL (
  (
    SELECT f.execution_id, f.in_flight
    FROM sibling AS f
    WHERE f.parent = i.parent
      AND f.in_flight
  )
  UNION ALL
  (
    SELECT w.execution_id, w.in_flight
    FROM sibling AS w
    WHERE w.parent = i.parent
      AND NOT w.in_flight
    ORDER BY w.execution_id
    LIMIT $2::bigint
  )
) AS s
