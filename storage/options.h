// Numbers of the store. Defaults are right for most; everything has a limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/time/time.h"

namespace capstan::storage {

struct StoreOptions {
  // libpq connection string or URI. Passwords belong into a file (passfile=, or the configuration's
  // DSN by file); the string is never logged.
  std::string dsn;
  // Shown in pg_stat_activity, with what the connection is for appended: "capstan-server/submit".
  std::string application_name = "capstan";

  // Set on every connection. A peer that went away without a word is noticed after
  // tcp_user_timeout.
  absl::Duration connect_timeout = absl::Seconds(3);
  absl::Duration tcp_user_timeout = absl::Seconds(3);
  absl::Duration statement_timeout = absl::Seconds(4);
  absl::Duration lock_timeout = absl::Seconds(2);
  // Must stay below a third of lease_ttl: a worker stopped inside a transaction must lose its locks
  // before its leases are taken over. CheckOptions() refuses anything else.
  absl::Duration idle_in_transaction_timeout = absl::Seconds(4);
  absl::Duration lease_ttl = absl::Seconds(15);

  // Pause before connecting again after a failure: doubles from `least` to `most`, with jitter.
  absl::Duration reconnect_least = absl::Milliseconds(50);
  absl::Duration reconnect_most = absl::Seconds(2);

  // One flush takes what is queued, up to these.
  std::size_t flush_items = 1000;
  std::size_t flush_bytes = 1 << 20;
  // What may wait in one combiner; more is RESOURCE_EXHAUSTED (Submitter) or UNAVAILABLE
  // (Committer, whose callers are bounded by their slots).
  std::size_t queue_items = 20'000;
  std::size_t queue_bytes = 64 << 20;

  // How long an item may be tried, counted from the call. A flush whose reply was lost is settled
  // within this, or its items end UNAVAILABLE with an unknown outcome.
  absl::Duration submit_timeout = absl::Seconds(10);
  absl::Duration commit_timeout = absl::Seconds(10);

  // Executions a lease may hold, by queue: what is claimed, and lost, together.
  int action_lease_size = 16;
  int task_lease_size = 1;
  // A lease taken from lost workers this often is split into leases of one execution.
  int split_after_takeovers = 3;
  // Rows looked at or written by one round of reaping, waking and sweeping.
  int maintenance_rows = 1000;

  // Reader: connections, and how long a call waits for one to come free.
  int reader_connections = 4;
  absl::Duration reader_wait = absl::Seconds(2);

  // FeedTailer: longest wait between two looks at the feed; a notification wakes it earlier. It
  // looks again after feed_poll_busy while something was found a moment ago.
  absl::Duration feed_poll = absl::Seconds(1);
  absl::Duration feed_poll_busy = absl::Milliseconds(100);
  int feed_rows = 1000;
  // How long feed rows are kept: how far behind a watcher may resume.
  absl::Duration feed_kept = absl::Hours(24);
};

}  // namespace capstan::storage
