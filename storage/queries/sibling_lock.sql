-- Locks parents until the end of the transaction, in one order for all. What follows reads them with a later snapshot.
-- $1 parent text[]
-- Index: none.
SELECT pg_advisory_xact_lock(1397310540, k.key)
FROM (SELECT DISTINCT hashtext(i.parent) AS key FROM unnest($1::text[]) AS i (parent) ORDER BY 1) AS k
