// The real cluster of the end-to-end tests, named by the variables of `cluster.sh env`: kubectl as
// its administrator, its audit log as the witness, and Capstan on it with the rights that its
// manifests give and no others.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "tests/scenarios/system.h"

namespace capstan::testing {

// Of a variable; ends the process when it is not set.
std::string Environment(const char* name);

// Output of a shell command; the process ends when it fails and `must` is true.
std::string Shell(const std::string& command, bool must = true);

// `arguments` are for a shell.
std::string Kubectl(const std::string& arguments, bool must = true);
void Apply(const std::string& yaml);

// cluster.sh on this cluster.
std::string Cluster(const std::string& arguments);

// A program of this build.
std::string Bin(const std::string& program);

// Finished changes in the audit log: verb, resource and name. What was only tried (a dry run) is
// none.
int CountAudit(const std::string& verb, const std::string& resource, const std::string& name);

// Pods that were ever created for a Job: their names begin with the Job's.
int PodsCreatedFor(const std::string& job);

// Until the pod of this Job of capstan-actions has printed `text`.
void WaitForLog(const std::string& job, const std::string& text);

// With which an account acts for four hours.
std::string TokenOf(const std::string& account, const std::string& name_space);

// An installation: its two namespaces, and flags of `capstan manifests`.
struct Installation {
  std::string actions_namespace = "capstan-actions";
  std::string system_namespace = "capstan-system";
  std::string flags = {};
};

// What `capstan manifests` prints, applied; returns once the admission policy is in force.
void Install(const Installation& installation = {});

struct ClusterSystemOptions {
  absl::Duration lease_ttl = absl::Seconds(3);
  std::string worker_program = {};  // empty: capstan-worker
  bool named_callers = false;       // as in SystemOptions
};

// Whose workers act with the token of the worker's account of the installation.
std::unique_ptr<System> MakeSystem(const Installation& installation = {},
                                   const ClusterSystemOptions& options = {});

// ${x}: {{"x", …}}, of `text`.
std::string Filled(std::string text, const std::map<std::string, std::string>& values);

}  // namespace capstan::testing
