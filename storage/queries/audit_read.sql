-- Rows of one chain above a number, in order.
-- $1 chain uuid, $2 after number bigint, $3 limit bigint
-- Index: audit_pkey.
SELECT a.number, (extract(epoch FROM a.at) * 1000000)::bigint, a.body, a.hash
FROM audit AS a
WHERE a.chain = $1::uuid
  AND a.number > $2::bigint
ORDER BY a.number
LIMIT $3::bigint
