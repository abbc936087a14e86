-- Projects that have a limit, or have spent or reserved something this month (UTC, by the database's clock), by name.
-- $1 limit bigint
-- Index: project_budget_pkey, project_spend_pkey, project_reservation_month.
SELECT b.project, b.monthly_limit_microusd, m.month, coalesce(s.spent_microusd, 0), coalesce(r.reserved_microusd, 0),
       coalesce(s.is_upper_bound, false)
FROM (SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM') AS month) AS m
CROSS JOIN project_budget AS b
LEFT JOIN project_spend AS s ON s.project = b.project AND s.month = m.month
CROSS JOIN LATERAL (
  SELECT sum(o.reserved_microusd)::bigint AS reserved_microusd
  FROM project_reservation AS o
  WHERE o.project = b.project
    AND o.month = m.month
) AS r
WHERE b.monthly_limit_microusd > 0
   OR s.spent_microusd > 0
   OR r.reserved_microusd > 0
ORDER BY b.project
LIMIT $1::bigint
