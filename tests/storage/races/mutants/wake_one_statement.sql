-- Mutant of signal_count.sql that wakes in the same statement: it sees parked as it was when the statement began, so a
-- park that commits while the UPDATE waits for its row is missed. It says "leased" always, so that nobody wakes again.
-- $1 id uuid
WITH fresh AS MATERIALIZED (
  SELECT nextval('lease_block') * 1024 AS id
),
counted AS (
  UPDATE execution AS e
  SET signals = e.signals + 1,
      lease_id = coalesce(e.lease_id,
                          (SELECT f.id FROM fresh AS f WHERE EXISTS (SELECT FROM parked AS p WHERE p.execution_id = e.id)))
  WHERE e.id = $1::uuid
  RETURNING e.id, e.state, e.lease_id, e.signals, e.last_seq, e.queue, e.priority
),
woken AS (
  DELETE FROM parked AS p
  USING counted AS c
  WHERE p.execution_id = c.id
  RETURNING p.execution_id, c.queue, c.priority
),
leased AS (
  INSERT INTO lease (id, queue, priority, ids)
  SELECT f.id, w.queue, w.priority, ARRAY[w.execution_id]
  FROM woken AS w
  CROSS JOIN fresh AS f
)
SELECT c.state, coalesce(c.lease_id, 0), c.signals, c.last_seq, c.queue, c.priority
FROM counted AS c
