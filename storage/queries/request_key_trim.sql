-- Deletes request ids of executions older than $1.
-- $1 keep (microseconds) bigint
-- Index: request_key_age.
DELETE FROM request_key
WHERE execution_id < uuid_floor(now() - $1::bigint * interval '1 microsecond')
