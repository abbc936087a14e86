-- Forgets launches of more than a week ago.
-- Index: none; runs hourly.
DELETE FROM launch
WHERE at < now() - interval '7 days'
