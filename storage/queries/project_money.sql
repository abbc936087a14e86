-- What was spent and is reserved in months of projects that are locked.
-- $1 project text[], $2 month text[]
-- Index: project_spend_pkey, project_reservation_month.
SELECT i.project, i.month,
       coalesce((SELECT s.spent_microusd FROM project_spend AS s WHERE s.project = i.project AND s.month = i.month), 0),
       (SELECT coalesce(sum(r.reserved_microusd), 0)::bigint
        FROM project_reservation AS r
        WHERE r.project = i.project
          AND r.month = i.month)
FROM unnest($1::text[], $2::text[]) AS i (project, month)
