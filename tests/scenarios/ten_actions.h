// A cluster with something to do for each of the ten actions, and what is to be seen of each.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "tests/scenarios/operations.h"
#include "tests/scenarios/system.h"

namespace capstan::testing {

// One action as the tests see it.
struct ActionCase {
  std::string action = {};
  v1::ExecuteActionRequest request = {};
  std::function<bool()> done = {};  // its effect is there
  std::string argv = {};            // a text of its rendered Job
  std::string target = {};          // as in a plan
  std::string fact = {};            // captured, and another one afterwards; "": none
  bool reads = false;
  // Refused by a rule.
  v1::ExecuteActionRequest denied = {};
  std::string rule = {};
  // Not possible, and a text of the reason; "": found out by the Job.
  v1::ExecuteActionRequest impossible = {};
  std::string reason = {};
  std::string postcondition =
      {};                    // that fails when nothing was done or no pod gets ready; "": none
  std::string inverse = {};  // "": none
};

// Namespace shop: Deployments scaled, restarted, imaged, watched, and pods (two replicas);
// ConfigMap settings (with binary data); Secret credentials, with a patch for it in
// capstan-actions. Nodes cordoned-by-test, drained-by-test (with a pod), uncordoned-by-test, and
// master of the control plane. Nothing else is scheduled to them.
class TenActions {
 public:
  explicit TenActions(System& system);

  const std::vector<ActionCase>& all() const { return all_; }
  const ActionCase& operator[](const std::string& action) const;
  std::string pod() const { return pod_; }
  // All of them at once; names in the order of all().
  std::vector<std::string> SubmitAll(Server& server) const;

  // What the patch writes into the Secret, and what was there.
  static constexpr char kCanary[] = "canary-7f3a9c1e-new-password";
  static constexpr char kOldValue[] = "canary-0b5d2e88-old-password";

 private:
  void MakeCluster();
  void Add(ActionCase one) { all_.push_back(std::move(one)); }
  void AddDeployments();
  void AddData();
  void AddNodes();

  kubesim::KubeSim& kube_;
  std::string pod_;
  std::string pod_uid_;
  std::vector<ActionCase> all_;
};

// Jobs that were really created, dry runs left out.
int JobsCreated(const kubesim::KubeSim& kube);

}  // namespace capstan::testing
