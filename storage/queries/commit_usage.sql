-- Stores what was billed for steps that have just passed commit.sql in the same transaction.
-- $1 execution_id uuid[], $2 step text[], $3 attempt int[], $4 iteration int[], $5 model text[], $6 input_tokens bigint[],
-- $7 output_tokens bigint[], $8 cache_creation_tokens bigint[], $9 cache_read_tokens bigint[], $10 cost_microusd bigint[],
-- $11 is_upper_bound bool[], $12 caller text[]
-- Index: none.
INSERT INTO usage (execution_id, step, attempt, iteration, model, input_tokens, output_tokens, cache_creation_tokens,
                   cache_read_tokens, cost_microusd, is_upper_bound, caller)
SELECT i.execution_id, i.step, i.attempt, i.iteration, i.model, i.input_tokens, i.output_tokens, i.cache_creation_tokens,
       i.cache_read_tokens, i.cost_microusd, i.is_upper_bound, i.caller
FROM unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
            $10::bigint[], $11::bool[], $12::text[])
  AS i (execution_id, step, attempt, iteration, model, input_tokens, output_tokens, cache_creation_tokens, cache_read_tokens,
        cost_microusd, is_upper_bound, caller)
