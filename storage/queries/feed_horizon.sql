-- Where the kept part of the feed begins.
-- Index: none, one row.
SELECT h.xid::text, h.position
FROM feed_horizon AS h
