-- Appends one row to a chain. Its hash covers the hash before it, chain, number, time (microseconds since 1970) and body.
-- $1 chain uuid, $2 body text
-- Index: audit_chain_pkey.
WITH moment AS MATERIALIZED (
  SELECT clock_timestamp() AS at
),
link AS (
  UPDATE audit_chain AS c
  SET number = c.number + 1,
      hash = sha256(c.hash || convert_to(
        c.chain::text || ' ' || (c.number + 1)::text || ' ' || (extract(epoch FROM m.at) * 1000000)::bigint::text || ' '
          || $2::text, 'UTF8'))
  FROM moment AS m
  WHERE c.chain = $1::uuid
  RETURNING c.number, c.hash, m.at
)
INSERT INTO audit (chain, number, at, body, hash)
SELECT $1::uuid, l.number, l.at, $2::text, l.hash
FROM link AS l
RETURNING number
