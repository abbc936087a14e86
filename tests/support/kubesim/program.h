// Programs that simulated containers "run": C++ callables found by argv.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/support/kubesim/json.h"

namespace capstan::kubesim {

class KubeSim;

// One run of one container. Lives on the controller thread; only that thread touches it.
class ProgramRun {
 public:
  virtual ~ProgramRun() = default;

  virtual const std::vector<std::string>& argv() const = 0;  // command and args, whole
  virtual const std::string& namespace_name() const = 0;
  virtual const std::string& pod() const = 0;
  virtual const std::string& job() const = 0;  // "" when no Job owns the pod
  virtual const std::string& job_uid() const = 0;

  // Appends to the container's log.
  virtual void Print(std::string_view text) = 0;
  // What the program leaves in /dev/termination-log.
  virtual void SetTerminationMessage(std::string message) = 0;
  // Time since the container started, on the simulation's clock.
  virtual absl::Duration Elapsed() const = 0;
  // Asks to be called again at this Elapsed() even if nothing changes.
  virtual void WakeAt(absl::Duration elapsed) = 0;
  // Free for the program to keep what it needs between calls.
  virtual Json& state() = 0;
  // A file that the container mounts from a Secret or ConfigMap, as it was when it started.
  virtual std::optional<std::string> ReadFile(const std::string& path) const = 0;

  // A call to the simulated API server in the name of this pod (faults do not apply; its writes are
  // audited).
  struct Reply {
    int code = 0;
    Json body;
  };
  virtual Reply Call(const std::string& method, const std::string& path, const Json& body,
                     const std::string& content_type) = 0;
};

// Called when the container starts, again after every change in the cluster and at WakeAt(), until
// it returns the exit code. Must not block. Runs on the controller thread without locks held.
using Program = std::function<std::optional<int>(ProgramRun&)>;

// Finds the program with the longest registered prefix of argv (the first element compares by its
// file name).
class ProgramRegistry {
 public:
  // kubectl (scale, rollout status, set image, cordon, uncordon, drain), capstan-action, sleep
  // SECONDS, true, false.
  static ProgramRegistry WithBuiltins();

  void Register(std::vector<std::string> argv_prefix, Program program);
  // Null when no prefix fits: the container cannot start, as with a file missing from the image.
  const Program* Find(const std::vector<std::string>& argv) const;

 private:
  struct Entry {
    std::vector<std::string> prefix;
    Program program;
  };
  std::vector<Entry> entries_;
};

}  // namespace capstan::kubesim
