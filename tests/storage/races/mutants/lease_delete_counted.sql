-- Mutant of the DELETE in commit.sql that trusts the holder's own count: an execution the holder does not know of loses
-- its lease.
-- $1 id bigint
DELETE FROM lease WHERE id = $1::bigint
