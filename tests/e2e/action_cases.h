// The ten actions on the real cluster: objects for them to change, requests that change them, and
// how to see the change. Beside the real node are eight that are only played (`cluster.sh kwok 8`).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/e2e/cluster_under_test.h"

namespace capstan::testing {

inline constexpr char kTargets[] = "actions-e2e";  // the namespace of what is changed

// Nodes that are only played, by what happens to them.
inline constexpr char kCordoned[] = "kwok-1";
inline constexpr char kDrained[] = "kwok-2";
inline constexpr char kUncordoned[] = "kwok-3";
inline constexpr char kControlPlane[] = "kwok-4";    // by its label
inline constexpr char kDrainCancelled[] = "kwok-5";  // these have pods behind a budget
inline constexpr char kDrainTooLate[] = "kwok-6";
inline constexpr char kDrainedLater[] = "kwok-7";
inline constexpr char kCordonedWithBudget[] = "kwok-8";

struct ClusterCase {
  std::string action;
  std::string parameters;  // JSON
  std::string look;        // arguments of kubectl that show what the action changes
  std::string before;      // what that shows, when it is known beforehand
  std::string after;       // empty: something else than before
  bool has_inverse = false;
};

const std::vector<ClusterCase>& TheTenActions();
const ClusterCase& CaseOf(const std::string& action);

// What kubectl shows of a case's target.
std::string Look(const ClusterCase& action);

// Tests of the ten share one installation, one server, one worker and the objects of the cases,
// made before the first of them whatever an earlier run has left; actions of several tests may run
// at once.
class ActionCasesTest : public ::testing::Test {
 protected:
  ActionCasesTest();

  static Server& server();
};

// Makes the objects of the cases anew and the nodes as the cases want them.
void MakeTargets();

// A Deployment of one pod with this image.
std::string DeploymentOf(const std::string& name, const std::string& image);
// `replicas` pods of a Deployment that fit on that played node only.
std::string DeploymentOn(const std::string& node, const std::string& name, int replicas);
// Lets `disrupted` pods of the Deployment of that name be evicted.
std::string Budget(const std::string& name, int disrupted);

v1::ExecuteActionRequest Request(const std::string& action, const std::string& parameters);

// Undoes an execution and follows that to its end.
Streamed RollBack(Server& server, const std::string& execution);

// For the names of parameterised tests.
std::string NameOf(const ::testing::TestParamInfo<ClusterCase>& info);

}  // namespace capstan::testing
