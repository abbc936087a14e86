-- Replaces leases, which this transaction has locked, by one new lease for each execution that still names them.
-- $1 lease id bigint[]
-- Index: lease_pkey, execution_pkey.
WITH part AS MATERIALIZED (
  SELECT nextval('lease_block') * 1024 AS lease_id, e.id, l.queue, l.priority
  FROM lease AS l
  CROSS JOIN LATERAL unnest(l.ids) AS u (id)
  JOIN execution AS e ON e.id = u.id AND e.lease_id = l.id
  WHERE l.id = ANY ($1::bigint[])
),
gone AS (
  DELETE FROM lease
  WHERE id = ANY ($1::bigint[])
),
leased AS (
  INSERT INTO lease (id, queue, priority, ids)
  SELECT p.lease_id, p.queue, p.priority, ARRAY[p.id]
  FROM part AS p
),
bound AS (
  UPDATE execution AS e
  SET lease_id = p.lease_id
  FROM part AS p
  WHERE e.id = p.id
  RETURNING e.id
)
SELECT count(*) FROM bound
