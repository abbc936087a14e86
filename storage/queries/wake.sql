-- Wakes executions whose rows this transaction has locked in an earlier statement: deletes their parked rows and makes
-- leases of executions of one queue and priority. Returns how many were woken.
-- $1 execution_id uuid[], $2 and $3 executions per lease of queue 1 and 2 int, $4 only those that are due bool
-- Index: parked_pkey, execution_pkey.
WITH woken AS (
  DELETE FROM parked AS p
  WHERE p.execution_id = ANY ($1::uuid[])
    AND (NOT $4::bool OR p.due_at <= clock_timestamp())
  RETURNING p.execution_id
),
chunk AS MATERIALIZED (
  SELECT nextval('lease_block') * 1024 AS id, c.queue, c.priority, c.ids
  FROM (
    SELECT n.queue, n.priority, array_agg(n.id ORDER BY n.id) AS ids
    FROM (
      SELECT e.id, e.queue, e.priority,
             (row_number() OVER (PARTITION BY e.queue, e.priority ORDER BY e.id) - 1)
               / CASE e.queue WHEN 1 THEN $2::int ELSE $3::int END AS place
      FROM woken AS w
      JOIN execution AS e ON e.id = w.execution_id
    ) AS n
    GROUP BY n.queue, n.priority, n.place
  ) AS c
),
leased AS (
  INSERT INTO lease (id, queue, priority, ids)
  SELECT c.id, c.queue, c.priority, c.ids
  FROM chunk AS c
),
bound AS (
  UPDATE execution AS e
  SET lease_id = u.lease_id
  FROM (SELECT c.id AS lease_id, unnest(c.ids) AS id FROM chunk AS c) AS u
  WHERE e.id = u.id
  RETURNING e.id
)
SELECT count(*) FROM bound
