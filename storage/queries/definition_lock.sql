-- Makes those who store definitions come one after the other.
-- Index: none.
LOCK TABLE definition IN SHARE ROW EXCLUSIVE MODE
