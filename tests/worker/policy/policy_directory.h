// A policy directory that a test writes, and a store and an engine on it.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temporary_directory.h"
#include "worker/policy/policy_store.h"
#include "worker/policy/rego_policy_engine.h"

namespace capstan::policy {

// Removed at the end of the test.
class PolicyDirectory {
 public:
  std::string path() const { return path_.string(); }

  // As a careful editor writes: the file is there with all its text or not at all.
  void Write(const std::string& file, const std::string& text) const {
    const std::filesystem::path path = path_ / file;
    const std::filesystem::path next = path.parent_path() / ".next";
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(next) << text;
    std::filesystem::rename(next, path);
  }
  void Remove(const std::string& entry) const { std::filesystem::remove_all(path_ / entry); }

  // A bundle of one file: the package line, the import and `rules`.
  void WriteBundle(const std::string& bundle, const std::string& rules) const {
    Write(bundle + "/rules.rego", Module(bundle, rules));
  }
  void WriteTests(const std::string& bundle, const std::string& rules) const {
    Write(bundle + "/rules_test.rego", Module(bundle + "-test", rules));
  }

  static std::string Module(const std::string& bundle, const std::string& rules) {
    return "package capstan.safety.rules." + PackageName(bundle) + "\n\nimport rego.v1\n\n" +
           rules + "\n";
  }

 private:
  const testing::TemporaryDirectory directory_;
  const std::filesystem::path path_ = directory_.path();
};

// A rule that never denies, and one that always does.
inline constexpr char kAllow[] =
    R"(violations contains {"id": "a/never", "message": "m"} if input.action == "never")";
inline constexpr char kDeny[] = R"(violations contains {"id": "a/always", "message": "denied"})";

inline PolicyStore::Options StoreOptions(const PolicyDirectory& directory,
                                         std::vector<std::string> required) {
  PolicyStore::Options options;
  options.directory = directory.path();
  options.required_bundles = std::move(required);
  options.check_program = CAPSTAN_POLICY_CHECK;
  return options;
}

// Remembers what a store reported, and waits for it.
class Reloads {
 public:
  PolicyStore::OnReload Callback() {
    return [this](PolicyReload reload, const PolicyStatus&) {
      const std::lock_guard lock(mu_);
      seen_.push_back(reload);
      changed_.notify_all();
    };
  }
  std::vector<PolicyReload> seen() {
    const std::lock_guard lock(mu_);
    return seen_;
  }
  void WaitFor(std::size_t count) {
    std::unique_lock lock(mu_);
    changed_.wait(lock, [&] { return seen_.size() >= count; });
  }

 private:
  std::mutex mu_;
  std::condition_variable changed_;
  std::vector<PolicyReload> seen_;
};

// A store and an engine on a directory that loads; bad policies fail the test.
class Policies {
 public:
  Policies(const PolicyDirectory& directory, std::vector<std::string> required)
      : Policies(StoreOptions(directory, std::move(required))) {}
  explicit Policies(PolicyStore::Options options)
      : store_(Load(PolicyStore::Create(std::move(options), clock_, reloads_.Callback()))) {}

  Decision Evaluate(const PolicyInput& input) {
    return RegoPolicyEngine(*store_, clock_).Evaluate(input);
  }
  PolicyStore& store() { return *store_; }
  Reloads& reloads() { return reloads_; }

 private:
  static std::unique_ptr<PolicyStore> Load(absl::StatusOr<std::unique_ptr<PolicyStore>> store) {
    EXPECT_OK(store);
    return *std::move(store);
  }

  SystemClock clock_;
  Reloads reloads_;
  std::unique_ptr<PolicyStore> store_;
};

inline PolicyInput ScaleInput() {
  PolicyInput input;
  input.action = "ScaleDeployment";
  input.parameters = {{"replicas", 3}};
  input.caller = "tests";
  input.evaluation_time = absl::FromUnixSeconds(1700000000);
  input.target_resource = {"Deployment", "web", "shop", {{"app", "web"}}};
  input.metadata = {"executions/1", "capstan-actions"};
  return input;
}

inline std::vector<std::string> Ids(const Decision& decision) {
  std::vector<std::string> ids;
  for (const Violation& violation : decision.violations) ids.push_back(violation.id);
  return ids;
}

}  // namespace capstan::policy
