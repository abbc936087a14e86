-- Drops weekly partitions that ended longer ago than $1 and in which nothing lives; returns how many.
-- $1 keep (microseconds) bigint
-- Index: outcome_pkey.
SELECT drop_partitions($1::bigint * interval '1 microsecond')
