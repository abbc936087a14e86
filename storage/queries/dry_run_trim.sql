-- Forgets dry runs of more than a week ago.
-- Index: none; runs hourly.
DELETE FROM dry_run
WHERE at < now() - interval '7 days'
