-- What policy is told about others: launches in a namespace within a window, whether a request succeeded as a dry run
-- within the last day, and how many others hold a target.
-- $1 name_space text, $2 window (microseconds) bigint, $3 key text, $4 execution uuid
-- Index: launch_recent, dry_run_pkey; none of target, which has a row for each object that was ever changed.
SELECT (
         SELECT count(*)
         FROM launch AS l
         WHERE l.name_space = $1::text
           AND l.at > clock_timestamp() - $2::bigint * interval '1 microsecond'
       ),
       EXISTS (SELECT FROM dry_run AS d WHERE d.key = $3::text AND d.at > clock_timestamp() - interval '1 day'),
       (SELECT count(*) FROM target AS t WHERE t.holder <> $4::uuid)
