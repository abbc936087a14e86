-- Executions of one parent that are in flight at once are limited in number.

ALTER TABLE parked
  DROP CONSTRAINT parked_reason,
  ADD CONSTRAINT parked_reason CHECK (reason IN (1, 2, 3, 4, 5, 6, 7, 8));

-- One row for each execution of a parent that is in flight, or that waits in line for another one of it to end. Written
-- under the parent's advisory lock.
CREATE TABLE sibling (
  execution_id uuid PRIMARY KEY,
  in_flight boolean NOT NULL,
  parent text NOT NULL
) WITH (
  autovacuum_vacuum_scale_factor = 0.02,
  autovacuum_vacuum_threshold = 1000
);

CREATE INDEX sibling_line ON sibling (parent, in_flight, execution_id);
