-- Rows with all events of some executions, in the order given.
-- $1 execution_id uuid[]
-- Index: event_pkey.
SELECT v.seq, v.at, v.body, v.execution_id
FROM unnest($1::uuid[]) WITH ORDINALITY AS i (id, place)
JOIN event AS v ON v.execution_id = i.id
ORDER BY i.place, v.seq
