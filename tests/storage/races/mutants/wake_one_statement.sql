-- Mutant of signal_count.sql + wake.sql in one statement: the DELETE sees parked as it was when the statement began, so
-- a park that commits while the UPDATE waits for its row is missed.
-- $1 id uuid
WITH counted AS (
  UPDATE execution
  SET signals = signals + 1
  WHERE id = $1::uuid
  RETURNING id, queue, priority
),
woken AS (
  DELETE FROM parked AS p
  USING counted AS c
  WHERE p.execution_id = c.id
  RETURNING p.execution_id, c.queue, c.priority
)
INSERT INTO lease (id, queue, priority, ids)
SELECT nextval('lease_block') * 1024, w.queue, w.priority, ARRAY[w.execution_id]
FROM woken AS w
