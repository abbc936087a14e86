-- Deletes the oldest feed rows that are older than $1 and moves the horizon with them. Returns how many.
-- $1 keep (microseconds) bigint
-- Index: feed_pkey.
WITH oldest AS MATERIALIZED (
  SELECT f.xid, f.position
  FROM feed AS f
  ORDER BY f.xid, f.position
  LIMIT 10000
),
gone AS (
  DELETE FROM feed AS f
  USING oldest AS o
  WHERE f.xid = o.xid
    AND f.position = o.position
    AND f.at < now() - $1::bigint * interval '1 microsecond'
  RETURNING f.xid, f.position
),
moved AS (
  UPDATE feed_horizon AS h
  SET xid = g.xid,
      position = g.position
  FROM (SELECT xid, position FROM gone ORDER BY xid DESC, position DESC LIMIT 1) AS g
)
SELECT count(*) FROM gone
