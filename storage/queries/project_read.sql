-- How the budget of a project stands this month (UTC, by the database's clock), and the three executions that reserve most of
-- it: limit, month, spent, reserved, whether some of what is spent is not known but bounded, executions, what they reserve.
-- $1 project text
-- Index: project_budget_pkey, project_spend_pkey, project_reservation_month.
SELECT coalesce((SELECT b.monthly_limit_microusd FROM project_budget AS b WHERE b.project = $1::text), 0),
       m.month, coalesce(s.spent_microusd, 0),
       (SELECT coalesce(sum(r.reserved_microusd), 0)::bigint
        FROM project_reservation AS r
        WHERE r.project = $1::text
          AND r.month = m.month),
       coalesce(s.is_upper_bound, false),
       ARRAY(SELECT r.execution_id
             FROM project_reservation AS r
             WHERE r.project = $1::text
               AND r.month = m.month
             ORDER BY r.reserved_microusd DESC, r.execution_id
             LIMIT 3),
       ARRAY(SELECT r.reserved_microusd
             FROM project_reservation AS r
             WHERE r.project = $1::text
               AND r.month = m.month
             ORDER BY r.reserved_microusd DESC, r.execution_id
             LIMIT 3)
FROM (SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM') AS month) AS m
LEFT JOIN project_spend AS s ON s.project = $1::text AND s.month = m.month
