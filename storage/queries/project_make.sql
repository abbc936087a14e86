-- Makes the rows of projects that have none yet: without a limit.
-- $1 project text[] (sorted)
-- Index: project_budget_pkey.
INSERT INTO project_budget (project)
SELECT i.project
FROM unnest($1::text[]) AS i (project)
ON CONFLICT (project) DO NOTHING
