-- Steps of tasks that submit executions of their own: a task waits for them (parked, 11), and is told of their end (signal, 6).
-- Numbers are those of storage/types.h.

ALTER TABLE parked
  DROP CONSTRAINT parked_reason,
  ADD CONSTRAINT parked_reason CHECK (reason IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));

ALTER TABLE signal
  DROP CONSTRAINT signal_kind,
  ADD CONSTRAINT signal_kind CHECK (kind IN (1, 2, 3, 4, 5, 6));
