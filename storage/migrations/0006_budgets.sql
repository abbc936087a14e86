-- Budgets of projects. Numbers of reasons are those of storage/types.h.

ALTER TABLE parked
  ADD COLUMN project text,
  ADD COLUMN project_needs bigint,
  DROP CONSTRAINT parked_reason,
  ADD CONSTRAINT parked_reason CHECK (reason BETWEEN 1 AND 12),
  ADD CONSTRAINT parked_project CHECK ((reason = 12) = (project IS NOT NULL AND project_needs IS NOT NULL));

CREATE INDEX parked_project ON parked (project, execution_id)
  WHERE project IS NOT NULL;

-- What the tasks of a project may cost in a month, in millionths of a US dollar; 0: no limit. Every project that a task has
-- ever been charged to has a row: it is what changes of the project's money are ordered by.
CREATE TABLE project_budget (
  project text NOT NULL,
  monthly_limit_microusd bigint NOT NULL DEFAULT 0
    CONSTRAINT project_budget_limit CHECK (monthly_limit_microusd >= 0),
  CONSTRAINT project_budget_pkey PRIMARY KEY (project)
);

-- What was billed, by calendar month in UTC.
CREATE TABLE project_spend (
  project text NOT NULL,
  month text NOT NULL
    CONSTRAINT project_spend_month CHECK (month ~ '^[0-9]{4}-[0-9]{2}$'),
  spent_microusd bigint NOT NULL
    CONSTRAINT project_spend_spent CHECK (spent_microusd >= 0),
  is_upper_bound boolean NOT NULL,
  CONSTRAINT project_spend_pkey PRIMARY KEY (project, month)
);

-- What is reserved for the iterations of models that run.
CREATE TABLE project_reservation (
  execution_id uuid NOT NULL,
  month text NOT NULL
    CONSTRAINT project_reservation_month CHECK (month ~ '^[0-9]{4}-[0-9]{2}$'),
  project text NOT NULL,
  reserved_microusd bigint NOT NULL
    CONSTRAINT project_reservation_reserved CHECK (reserved_microusd > 0),
  CONSTRAINT project_reservation_pkey PRIMARY KEY (execution_id, month)
);

CREATE INDEX project_reservation_month ON project_reservation (project, month);
