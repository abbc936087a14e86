-- Waits for all launches that are being stored, and holds off new ones until the end of the transaction.
-- Index: none.
SELECT pg_advisory_xact_lock(7308613402816045423)
