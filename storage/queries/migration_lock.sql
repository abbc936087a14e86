-- Waits for other migrations, until the end of the transaction.
-- Index: none.
SELECT pg_advisory_xact_lock(7308613402816045422)
