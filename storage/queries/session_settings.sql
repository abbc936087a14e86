-- Sets what every connection of ours is bounded by, and how it plans.
-- $1 statement_timeout text, $2 lock_timeout text, $3 idle_in_transaction_session_timeout text,
-- $4 plan_cache_mode text, $5 whether whole tables may be read and joined ('on', 'off') text,
-- $6 what the planner thinks a row costs text
-- Index: none.
SELECT set_config('statement_timeout', $1::text, false),
       set_config('lock_timeout', $2::text, false),
       set_config('idle_in_transaction_session_timeout', $3::text, false),
       set_config('plan_cache_mode', $4::text, false),
       set_config('enable_seqscan', $5::text, false),
       set_config('enable_hashjoin', $5::text, false),
       set_config('enable_mergejoin', $5::text, false),
       set_config('cpu_tuple_cost', $6::text, false),
       set_config('cpu_index_tuple_cost', $6::text, false),
       set_config('jit', 'off', false),
       set_config('max_parallel_workers_per_gather', '0', false),
       set_config('client_min_messages', 'warning', false),
       set_config('TimeZone', 'UTC', false)
