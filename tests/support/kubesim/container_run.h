// One container of a simulated pod while it runs, and its status for the API.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/clock.h"
#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/pod_logs.h"
#include "tests/support/kubesim/program.h"
#include "tests/support/kubesim/timers.h"

namespace capstan::kubesim {

inline constexpr int kExitStartError = 128;
inline constexpr int kExitKilled = 137;      // SIGKILL
inline constexpr int kExitTerminated = 143;  // SIGTERM

// Used by the controller thread only.
class ContainerRun final : public ProgramRun {
 public:
  using ApiCaller = std::function<Reply(const ContainerRun& run, const std::string& method,
                                        const std::string& path, const Json& body,
                                        const std::string& content_type)>;

  struct Identity {
    ObjectKey pod;
    std::string pod_uid;
    std::string job;
    std::string job_uid;
  };

  // `program` may be empty: nothing in the image has this name. The rest is borrowed.
  ContainerRun(Identity identity, const Json& container, Program program,
               std::map<std::string, std::string> files, Clock& clock, PodLogs& logs,
               Timers& timers, const ApiCaller& call);

  // ProgramRun.
  const std::vector<std::string>& argv() const override { return argv_; }
  const std::string& namespace_name() const override { return identity_.pod.namespace_name; }
  const std::string& pod() const override { return identity_.pod.name; }
  const std::string& job() const override { return identity_.job; }
  const std::string& job_uid() const override { return identity_.job_uid; }
  void Print(std::string_view text) override;
  void SetTerminationMessage(std::string message) override;
  absl::Duration Elapsed() const override;
  void WakeAt(absl::Duration elapsed) override;
  Json& state() override { return state_; }
  std::optional<std::string> ReadFile(const std::string& path) const override;
  Reply Call(const std::string& method, const std::string& path, const Json& body,
             const std::string& content_type) override;

  static std::vector<std::string> ArgvOf(const Json& container);

  const std::string& name() const { return name_; }
  bool finished() const { return exit_code_.has_value(); }
  int exit_code() const { return exit_code_.value_or(0); }
  // Lets the program go on; true when it finished now.
  bool Advance();
  void Finish(int exit_code, std::string reason = "");

  // An entry of containerStatuses.
  Json Status(bool ready) const;
  // The entry of a container that has not started.
  static Json WaitingStatus(const Json& container, const std::string& reason,
                            const std::string& message = "");

 private:
  std::string TerminationMessage() const;

  const Identity identity_;
  const std::string name_;
  const std::string image_;
  const bool message_from_log_;
  const std::vector<std::string> argv_;
  const Program program_;
  const std::map<std::string, std::string> files_;
  Clock& clock_;
  PodLogs& logs_;
  Timers& timers_;
  const ApiCaller& call_;
  const absl::Duration started_;
  const std::string started_at_;
  std::string finished_at_;
  std::optional<int> exit_code_;
  std::string reason_;
  std::string message_;
  Json state_;
};

}  // namespace capstan::kubesim
