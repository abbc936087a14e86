-- Begins a chain of audit rows.
-- $1 chain uuid
-- Index: none.
INSERT INTO audit_chain (chain)
VALUES ($1::uuid)
ON CONFLICT (chain) DO NOTHING
