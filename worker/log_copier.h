// Copies the log of one Job's pod into the store: the containers' logs one after the other, bounded
// by the head and tail limits of log_reader.h. What it copies depends only on the containers' logs,
// so a successor that begins again at byte 0 sends the same bytes and the store skips those it has.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "worker/kubernetes/client.h"
#include "worker/kubernetes/job_observation.h"

namespace capstan::worker {

// Used by one thread at a time.
class LogCopier {
 public:
  // Stores bytes at an offset.
  using Append = std::function<absl::Status(std::int64_t offset, std::string_view bytes)>;

  // Copies what there is now. `ended`: the Job has finished, so everything can be read to its end.
  // An error means that something could not be read or stored: call again, or go on with part of
  // the log missing. With `ended` the log then says at its end that it is.
  absl::Status Copy(kubernetes::Client& client, const kubernetes::JobObservation& job, bool ended,
                    const Append& append);

 private:
  std::size_t container_ = 0;  // index of the one being copied
  std::uint64_t read_ = 0;     // of its log
  std::int64_t stored_ = 0;    // of the whole
};

}  // namespace capstan::worker
