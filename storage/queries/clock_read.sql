-- The database's clock.
-- Index: none.
SELECT clock_timestamp()
