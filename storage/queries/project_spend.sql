-- Adds what was billed to months of projects that are locked, by steps that have just passed commit.sql in the same
-- transaction.
-- $1 project text[], $2 month text[] (each pair once), $3 billed_microusd bigint[], $4 is_upper_bound bool[]
-- Index: project_spend_pkey.
INSERT INTO project_spend AS s (project, month, spent_microusd, is_upper_bound)
SELECT i.project, i.month, i.billed, i.is_upper_bound
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bool[]) AS i (project, month, billed, is_upper_bound)
ON CONFLICT (project, month) DO UPDATE
SET spent_microusd = s.spent_microusd + excluded.spent_microusd,
    is_upper_bound = s.is_upper_bound OR excluded.is_upper_bound
