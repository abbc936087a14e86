// What simulated containers printed.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "tests/support/kubesim/change_signal.h"

namespace capstan::kubesim {

// The options of the log subresource.
struct LogQuery {
  std::string container;
  bool follow = false;
  bool timestamps = false;
  int64_t tail_lines = -1;   // -1: all
  int64_t limit_bytes = -1;  // -1: no limit
  std::optional<absl::Time> since;
};

// Thread-safe. Bounded: what a container prints past kMaxLogBytes is lost, as with a rotated file.
class PodLogs {
 public:
  static constexpr size_t kMaxLogBytes = 16 << 20;

  // Signals after every change. Borrowed.
  explicit PodLogs(ChangeSignal& signal) : signal_(signal) {}

  void Append(const std::string& pod_uid, const std::string& container, absl::Time now,
              std::string_view text);
  void Finish(const std::string& pod_uid, const std::string& container);
  void Drop(const std::string& pod_uid);

  struct Slice {
    std::string text;
    size_t next = 0;        // where the following slice begins
    bool finished = false;  // nothing will follow
  };
  // Whole lines that the query asks for.
  Slice Read(const std::string& pod_uid, const LogQuery& query) const;
  // What came after `from`; of the query only `timestamps` counts.
  Slice ReadFrom(const std::string& pod_uid, const LogQuery& query, size_t from) const;

 private:
  struct Log {
    std::string text;
    std::map<size_t, absl::Time> line_times;  // by the offset the line begins at
    bool finished = false;
  };

  static std::string Render(const Log& log, size_t from, bool timestamps);
  const Log* Find(const std::string& pod_uid, const std::string& container) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  ChangeSignal& signal_;
  mutable absl::Mutex mu_;
  std::map<std::pair<std::string, std::string>, Log> logs_ ABSL_GUARDED_BY(mu_);
};

}  // namespace capstan::kubesim
