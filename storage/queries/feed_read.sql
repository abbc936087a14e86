-- Feed rows above a place and up to another, in order, of transactions that cannot be joined by older ones any more.
-- The first column is the border below which everything is settled.
-- $1 xid text, $2 position bigint, $3 upper xid text, $4 upper position bigint, $5 limit bigint
-- Index: feed_pkey.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text, f.xid::text, f.position, f.kind, f.ids, f.seqs,
       clock_timestamp() - f.at
FROM (SELECT) AS one
LEFT JOIN LATERAL (
  SELECT r.xid, r.position, r.kind, r.ids, r.seqs, r.at
  FROM feed AS r
  WHERE (r.xid, r.position) > ($1::text::xid8, $2::bigint)
    AND (r.xid, r.position) <= ($3::text::xid8, $4::bigint)
    AND r.xid < pg_snapshot_xmin(pg_current_snapshot())
  ORDER BY r.xid, r.position
  LIMIT $5::bigint
) AS f ON true
ORDER BY f.xid, f.position
