-- Says what a project that is locked may cost in a month.
-- $1 project text, $2 monthly_limit_microusd bigint
-- Index: project_budget_pkey.
UPDATE project_budget AS b
SET monthly_limit_microusd = $2::bigint
WHERE b.project = $1::text
