// What the store tells whoever keeps figures. It knows no metrics library: programs put their own
// functions in. An empty function is not called.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace capstan::storage {

// Copied into every object of the store. Called from any of its threads, several at a time; must
// not block and must not call the store.
struct Observer {
  // One statement was sent and answered. `name` is the name of its file in storage/queries, or
  // "commit". OK, or how it failed.
  std::function<void(std::string_view name, absl::Duration took, absl::StatusCode code)> statement;
  // One flush of the combiner `name` ("submit", "commit") was done with `items` in it.
  std::function<void(std::string_view name, std::size_t items, absl::Duration took)> flush;
  // What is queued in the combiner `name` now.
  std::function<void(std::string_view name, std::size_t items)> queued;
  // The connection `name` ("submit", "commit", "lease", …) sends a transaction again, because of
  // `code` (UNAVAILABLE: lost connection; ABORTED: 40001 or 40P01).
  std::function<void(std::string_view name, absl::StatusCode code)> retry;
  // The connection `name` was made again after it had been lost.
  std::function<void(std::string_view name)> reconnect;
  // `count` workers were marked dead because their heartbeats stood still.
  std::function<void(int count)> reaped;
  // `count` executions had neither lease nor parked row and were leased again: 0 in a correct
  // system.
  std::function<void(int count)> swept;
  // How far behind now the feed was read: age of the oldest row of a round when it was delivered.
  std::function<void(absl::Duration lag)> feed_lag;
};

}  // namespace capstan::storage
