// Shows an execution while it goes on.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "capstan/v1/execution_service.pb.h"
#include "cli/commands.h"
#include "cli/live_area.h"
#include "cli/render_words.h"
#include "core/clock.h"

namespace capstan::cli {

enum class WatchMode {
  kLines,  // a line for each event
  kLive,   // one line, or a task's steps, drawn again in place: for terminals
  kJson,   // an ExecutionUpdate in JSON for each snapshot and event
  kQuiet,  // nothing until the end
};

// Folds updates into the execution that they describe and prints them. Update() and Say() may be
// called from one thread at a time; in kLive a thread of its own draws until Stop().
class WatchOutput {
 public:
  WatchOutput(std::ostream& out, std::ostream& err, Clock& clock, WatchMode mode,
              std::function<TerminalSize()> terminal_size, Invocation invocation);
  ~WatchOutput();

  void Update(const v1::ExecutionUpdate& update);

  // A remark to standard error, such as that the connection was lost.
  void Say(const std::string& line);

  // Clears what is drawn and joins its thread. Idempotent.
  void Stop();

  // As the events say, or the snapshot before there were any.
  v1::Execution execution() const;

 private:
  void Fold(const v1::ExecutionUpdate& update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Anchor(const google::protobuf::Timestamp& server_time) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  const v1::Execution& Newest() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SayLocked(const std::string& text) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Once for each approval, when the execution comes to wait for it.
  void AdviseOnApproval() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Draw() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Clear() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  std::ostream& out_;
  std::ostream& err_;
  Clock& clock_;
  const WatchMode mode_;
  const std::function<TerminalSize()> terminal_size_;
  const Invocation invocation_;

  mutable absl::Mutex mu_;
  v1::Execution snapshot_ ABSL_GUARDED_BY(mu_);
  v1::Execution folded_ ABSL_GUARDED_BY(mu_);
  int32_t advised_ ABSL_GUARDED_BY(mu_) = 0;  // number of the approval that was advised on
  // How old the execution was by the server's clock, and our boot time then: the two clocks need
  // not agree.
  absl::Duration age_ ABSL_GUARDED_BY(mu_);
  absl::Duration age_at_ ABSL_GUARDED_BY(mu_);
  LiveArea area_ ABSL_GUARDED_BY(mu_);
  std::jthread ticker_;
};

}  // namespace capstan::cli
