-- Makes missing weekly partitions up to four weeks ahead; returns how many.
-- Index: none.
SELECT make_partitions(now(), 4)
