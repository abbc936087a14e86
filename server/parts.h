// What the services are made of. main.cc (or a test) makes the parts and keeps them until the gRPC
// server is gone.
#pragma once

#include <map>
#include <set>
#include <string>

#include "absl/time/time.h"
#include "core/catalog/catalog.h"
#include "core/clock.h"
#include "core/telemetry/server_metrics.h"
#include "core/telemetry/tracing.h"
#include "server/event_reader.h"
#include "server/open_streams.h"
#include "server/timer.h"
#include "server/token.h"
#include "server/watch_hub.h"
#include "server/work_pool.h"
#include "storage/admin_store.h"
#include "storage/feed.h"
#include "storage/reader.h"
#include "storage/submitter.h"
#include "storage/task_store.h"

namespace capstan::server {

struct ServiceOptions {
  // An execution that is not launched within this time of its submission ends DEADLINE_EXCEEDED.
  absl::Duration queue_deadline = absl::Hours(1);
  // Longest silence on a stream.
  absl::Duration heartbeat_interval = absl::Seconds(10);
  // Events that wait in memory for one slow stream.
  int buffer_events = 256;
  // How long a stream goes on without the store; then it ends UNAVAILABLE, so that its caller looks
  // for a server that reaches it.
  absl::Duration store_patience = absl::Seconds(10);
  // Pause before a failed read is tried again.
  absl::Duration read_retry = absl::Milliseconds(250);
  // Groups of approvers: name -> identities.
  std::map<std::string, std::set<std::string>> groups = {};
  // For development, on loopback and unix sockets only: a caller without a certificate is who the
  // metadata "capstan-caller" says, shown as "unauthenticated:NAME".
  bool development_identity = false;
  // Pause between looks at a log that still grows.
  absl::Duration log_poll = absl::Milliseconds(250);
};

// Borrowed; each is thread-safe.
struct Parts {
  const catalog::Catalog& catalog;
  storage::Submitter& submitter;
  storage::Reader& reader;
  storage::AdminStore& admin;
  storage::TaskStore& tasks;
  storage::FeedTailer& tailer;
  EventReader& events;
  WatchHub& hub;
  OpenStreams& streams;
  WorkPool& pool;  // for reads that block
  Timer& timer;
  const TokenMaker& tokens;
  const telemetry::ServerMetrics& metrics;
  const telemetry::Tracer& tracer;
  Clock& clock;
  ServiceOptions options;
};

}  // namespace capstan::server
