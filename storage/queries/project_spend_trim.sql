-- Forgets what projects spent in months more than two years ago.
-- Index: none.
DELETE FROM project_spend AS s
WHERE s.month < to_char((now() - interval '25 months') AT TIME ZONE 'UTC', 'YYYY-MM')
