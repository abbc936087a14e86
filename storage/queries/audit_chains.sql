-- The ends of all chains, in order of their names.
-- Index: audit_chain_pkey.
SELECT c.chain, c.number, c.hash
FROM audit_chain AS c
ORDER BY c.chain
