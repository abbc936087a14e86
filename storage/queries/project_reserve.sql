-- Stores what executions reserve in months of projects that are locked, of steps that have just passed commit.sql in the same
-- transaction.
-- $1 execution_id uuid[], $2 month text[], $3 project text[], $4 reserved_microusd bigint[] (0: nothing any more)
-- Index: project_reservation_pkey.
WITH wanted AS (
  SELECT i.execution_id, i.month, i.project, i.reserved
  FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) AS i (execution_id, month, project, reserved)
),
released AS (
  DELETE FROM project_reservation AS r
  USING wanted AS w
  WHERE r.execution_id = w.execution_id
    AND r.month = w.month
    AND w.reserved = 0
)
INSERT INTO project_reservation (execution_id, month, project, reserved_microusd)
SELECT w.execution_id, w.month, w.project, w.reserved
FROM wanted AS w
WHERE w.reserved > 0
ON CONFLICT (execution_id, month) DO UPDATE
SET reserved_microusd = excluded.reserved_microusd
