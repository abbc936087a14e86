-- Holds off emergency stops until the end of the transaction: launches share the lock, a stop takes it alone.
-- Index: none.
SELECT pg_advisory_xact_lock_shared(7308613402816045423)
