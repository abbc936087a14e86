#include "worker/policy/policy_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/log.h"
#include "core/status_macros.h"
#include "worker/policy/bundle_check.h"
#include "worker/policy/bundle_loader.h"

namespace capstan::policy {
namespace {

// Times that a directory which changes while it is checked is read again before the next event or
// look.
constexpr int kMaxRounds = 5;
// How often a directory that cannot be watched is looked at.
constexpr absl::Duration kUnwatchedInterval = absl::Seconds(1);

// Nothing is missing by name when no bundle is required and there is none at all.
std::string MissingMessage(const std::vector<std::string>& missing) {
  if (missing.empty()) return "there are no policies";
  return absl::StrCat("required policy bundles are missing or empty: ",
                      absl::StrJoin(missing, ", "));
}

PolicySet DenyAll(std::string why) {
  PolicySet set;
  set.unavailable = std::move(why);
  return set;
}

// At start there must be something to start with.
absl::Status CheckForStart(const PolicyStore::Options& options) {
  CAPSTAN_ASSIGN_OR_RETURN(const BundleFiles files,
                           ReadBundleFiles(options.directory, options.required_bundles));
  if (!files.bundles.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(options.directory, ": no .rego file"));
}

}  // namespace

PolicyStore::PolicyStore(Options options, Clock& clock, OnReload on_reload)
    : options_(std::move(options)),
      clock_(clock),
      on_reload_(std::move(on_reload)),
      watcher_(options_.directory),
      current_(std::make_shared<PolicySet>(DenyAll("no policies were loaded yet"))) {}

PolicyStore::~PolicyStore() { Stop(); }

absl::StatusOr<std::unique_ptr<PolicyStore>> PolicyStore::Create(Options options, Clock& clock,
                                                                 OnReload on_reload) {
  CAPSTAN_RETURN_IF_ERROR(Annotate(CheckForStart(options), "policies"));
  std::unique_ptr<PolicyStore> store(
      new PolicyStore(std::move(options), clock, std::move(on_reload)));
  absl::MutexLock lock(&store->poll_mu_);
  CAPSTAN_RETURN_IF_ERROR(Annotate(store->LoadSettled(), "policies"));
  return store;
}

std::shared_ptr<const PolicySet> PolicyStore::Current() const {
  const std::vector<std::string> missing =
      MissingBundles(options_.directory, options_.required_bundles);
  if (!missing.empty()) return std::make_shared<PolicySet>(DenyAll(MissingMessage(missing)));
  absl::MutexLock lock(&mu_);
  return current_;
}

PolicyStatus PolicyStore::status() const {
  absl::MutexLock lock(&mu_);
  return status_;
}

void PolicyStore::Poll() {
  absl::MutexLock lock(&poll_mu_);
  if (const absl::Status loaded = LoadSettled(); !loaded.ok()) Reject(loaded);
}

absl::Status PolicyStore::LoadSettled() {
  absl::Status loaded = Load();
  for (int round = 1; absl::IsAborted(loaded) && round < kMaxRounds; ++round) {
    loaded = Load();
  }
  return loaded;
}

absl::Status PolicyStore::Load() {
  absl::StatusOr<BundleFiles> files =
      ReadBundleFiles(options_.directory, options_.required_bundles);
  if (absl::IsNotFound(files.status())) {
    files = BundleFiles{{}, {}, options_.required_bundles, "directory is gone"};
  }
  const std::string seen = files.ok() ? files->digest : files.status().ToString();
  if (seen == seen_) return absl::OkStatus();

  const absl::Status loaded = files.ok() ? Load(*files) : files.status();
  // What is good or bad stays so until it changes; anything else is worth another try.
  if (loaded.ok() || absl::IsInvalidArgument(loaded)) seen_ = seen;
  return loaded;
}

absl::Status PolicyStore::Load(const BundleFiles& files) {
  if (!files.missing.empty() || files.bundles.empty()) {
    Install(DenyAll(MissingMessage(files.missing)));
    return absl::OkStatus();
  }
  CAPSTAN_RETURN_IF_ERROR(
      CheckInChild({options_.check_program, options_.directory, options_.required_bundles,
                    files.digest, options_.check_timeout}));
  CAPSTAN_ASSIGN_OR_RETURN(RegoProgram program, CompileBundles(files, options_.limits));
  Install(
      {files.digest, files.bundles, std::make_shared<const RegoProgram>(std::move(program)), ""});
  return absl::OkStatus();
}

void PolicyStore::Install(PolicySet set) {
  const PolicyReload reload =
      set.program == nullptr ? PolicyReload::kUnavailable : PolicyReload::kLoaded;
  {
    absl::MutexLock lock(&mu_);
    status_ = {set.digest, set.bundles, clock_.Now(), set.unavailable, "", absl::InfinitePast()};
    current_ = std::make_shared<const PolicySet>(std::move(set));
  }
  Report(reload);
}

void PolicyStore::Reject(const absl::Status& why) {
  {
    absl::MutexLock lock(&mu_);
    status_.last_error = std::string(why.message());
    status_.last_error_at = clock_.Now();
  }
  Report(PolicyReload::kRejected);
}

void PolicyStore::Report(PolicyReload reload) {
  const PolicyStatus now = status();
  switch (reload) {
    case PolicyReload::kLoaded:
      Log(Level::kInfo, "policies loaded",
          {{"digest", now.digest}, {"bundles", absl::StrJoin(now.bundles, ",")}});
      break;
    case PolicyReload::kRejected:
      Log(Level::kError, "new policies rejected, the last good ones stay",
          {{"error", now.last_error}, {"digest", now.digest}});
      break;
    case PolicyReload::kUnavailable:
      Log(Level::kError, "every action is denied", {{"reason", now.unavailable}});
      break;
  }
  if (on_reload_) on_reload_(reload, now);
}

void PolicyStore::Start() {
  if (thread_.joinable()) return;
  thread_ = std::jthread([this](std::stop_token stop) { Watch(std::move(stop)); });
}

void PolicyStore::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  watcher_.Wake();
  thread_.join();
}

void PolicyStore::Watch(std::stop_token stop) {
  while (!stop.stop_requested()) {
    const bool watched = watcher_.Arm();
    Poll();
    watcher_.Wait(watched ? options_.poll_interval
                          : std::min(options_.poll_interval, kUnwatchedInterval));
  }
}

}  // namespace capstan::policy
