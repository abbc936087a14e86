// The policies in force, and their hot reload: a new version is read, checked in a child process,
// compiled, and then takes the place of the old one at once. A bad version changes nothing. A
// required bundle that is missing or empty denies everything from the next evaluation on, until it
// is back.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "core/clock.h"
#include "worker/policy/bundle_files.h"
#include "worker/policy/directory_watcher.h"
#include "worker/policy/rego_program.h"

namespace capstan::policy {

// One version of the policies. Immutable; an evaluation keeps the one it started with.
struct PolicySet {
  std::string digest;  // Empty when nothing was ever loaded.
  std::vector<std::string> bundles;
  std::shared_ptr<const RegoProgram>
      program;              // Shared by evaluations under way. Null: deny everything,
  std::string unavailable;  // and this is why.
};

struct PolicyStatus {
  std::string
      digest;  // Of what decides now; empty while everything is denied for want of a bundle.
  std::vector<std::string> bundles;
  absl::Time loaded_at;     // When that came into force.
  std::string unavailable;  // Why everything is denied; empty when the policies decide.
  std::string last_error;   // Why the newest version was refused; empty when it was not.
  absl::Time last_error_at;
};

enum class PolicyReload {
  kLoaded,       // A new version is in force.
  kRejected,     // A new version is bad; the one before stays.
  kUnavailable,  // A required bundle is gone: everything is denied.
};

class PolicyStore {
 public:
  struct Options {
    std::string directory;
    std::vector<std::string> required_bundles;
    std::string check_program;  // Path of capstan-policy-check (core/find_program.h).
    RegoLimits limits;
    absl::Duration check_timeout = absl::Seconds(30);
    absl::Duration poll_interval = absl::Seconds(30);  // Between looks when no event comes.
  };
  // Called after every change of status, never two at once, by the thread that found it (within
  // Create() for the first version). Must not call Poll() or Stop().
  using OnReload = std::function<void(PolicyReload, const PolicyStatus&)>;

  // Loads the policies for the first time.
  //   NOT_FOUND            the directory is not there
  //   FAILED_PRECONDITION  there is no .rego file in it
  //   INVALID_ARGUMENT     a bundle is bad: does not compile, fails its tests, breaks a rule of
  //   docs/policies.md other                the directory cannot be read or the check cannot be run
  // Each names the cause; all end the start-up. A required bundle that is missing does not:
  // everything is denied.
  static absl::StatusOr<std::unique_ptr<PolicyStore>> Create(Options options, Clock& clock,
                                                             OnReload on_reload);
  ~PolicyStore();

  // What an evaluation that starts now must use; never null. Looks at the directory, so that a
  // required bundle that was removed denies at once and not when the watch gets to it.
  std::shared_ptr<const PolicySet> Current() const;

  PolicyStatus status() const;

  // Reads the directory and, if something changed, checks and loads it. The watch thread does this
  // by itself; tests and a reload command may do it too.
  void Poll();

  // Starts and ends the watch thread. Idempotent; Stop() joins and may wait for a check in
  // progress.
  void Start();
  void Stop();

 private:
  PolicyStore(Options options, Clock& clock, OnReload on_reload);

  void Watch(std::stop_token stop);
  // Reads the directory and loads what changed; ABORTED when it changed again meanwhile.
  absl::Status Load() ABSL_EXCLUSIVE_LOCKS_REQUIRED(poll_mu_);
  absl::Status Load(const BundleFiles& files) ABSL_EXCLUSIVE_LOCKS_REQUIRED(poll_mu_);
  // Load() again while it is ABORTED, a few times.
  absl::Status LoadSettled() ABSL_EXCLUSIVE_LOCKS_REQUIRED(poll_mu_);
  void Install(PolicySet set) ABSL_EXCLUSIVE_LOCKS_REQUIRED(poll_mu_);
  void Reject(const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(poll_mu_);
  void Report(PolicyReload reload) ABSL_EXCLUSIVE_LOCKS_REQUIRED(poll_mu_);

  const Options options_;
  Clock& clock_;
  const OnReload on_reload_;
  DirectoryWatcher watcher_;

  absl::Mutex poll_mu_;  // One round at a time; held while the child runs.
  std::string seen_
      ABSL_GUARDED_BY(poll_mu_);  // What was last dealt with: a digest or a read error.

  mutable absl::Mutex mu_ ABSL_ACQUIRED_AFTER(poll_mu_);
  std::shared_ptr<const PolicySet> current_ ABSL_GUARDED_BY(mu_);
  PolicyStatus status_ ABSL_GUARDED_BY(mu_);

  std::jthread thread_;
};

}  // namespace capstan::policy
