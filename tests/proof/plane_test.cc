// Many callers on fifty targets of a real Kubernetes control plane whose nodes are played, with
// people who approve, reject, cancel, stop, undo and retry, Jobs that fail, and workers and servers
// that are killed meanwhile; all drawn from a seed. Whatever happens, the checker of histories
// finds nothing, with the API server's own audit log as its witness, and everything ends.
//   CAPSTAN_PLANE_SEED=n        the same draws again (not the same interleaving)
//   CAPSTAN_PLANE_EXECUTIONS=n  how many; 50 without
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "absl/strings/numbers.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "tests/e2e/api_client.h"
#include "tests/e2e/cluster_under_test.h"
#include "tests/proof/apiserver_audit.h"
#include "tests/proof/crowd.h"
#include "tests/proof/player.h"
#include "tests/proof/workload.h"
#include "tests/scenarios/operations.h"

namespace capstan::proof {
namespace {

namespace fs = std::filesystem;
using ::testing::IsEmpty;
using v1::Execution;

constexpr int kDeployments = 35;
constexpr int kTargets = 50;       // the others are ConfigMaps
constexpr int kNeedsApproval = 4;  // replicas

int FromEnvironment(const char* name, int otherwise) {
  const char* const text = std::getenv(name);
  int number = 0;
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : otherwise;
}

std::string NamespaceOf(int target) { return target % 2 == 0 ? "proof-even" : "proof-odd"; }
std::string NameOf(int target) { return Cat(target < kDeployments ? "web-" : "settings-", target); }

void MakeTargets() {
  std::string yaml;
  for (const char* name : {"proof-even", "proof-odd"})
    Append(&yaml, "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: ", name, "}\n");
  for (int i = 0; i < kTargets; ++i) {
    const std::string form = i < kDeployments ? R"(---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}, namespace: ${namespace}}
spec:
  replicas: 1
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata: {labels: {app: ${name}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: web, image: "capstan.test/web:1"}]
)"
                                              : R"(---
apiVersion: v1
kind: ConfigMap
metadata: {name: ${name}, namespace: ${namespace}}
data: {value: first}
)";
    yaml += testing::Filled(form, {{"name", NameOf(i)}, {"namespace", NamespaceOf(i)}});
  }
  testing::Apply(yaml);
  for (const char* name : {"proof-even", "proof-odd"})
    testing::Kubectl(
        Cat("wait deployment --all --for=condition=Available --timeout=60s -n ", name));
}

v1::ExecuteActionRequest Draw(std::mt19937& random) {
  const auto below = [&](int limit) {
    return static_cast<int>(random() % static_cast<unsigned>(limit));
  };
  const auto one_in = [&](int many) { return below(many) == 0; };
  const int target = one_in(2) ? below(3) * 20 : below(kTargets);
  const std::string space = NamespaceOf(target);
  if (target >= kDeployments) {
    const std::string patch =
        Cat(R"([{"op": "replace", "path": "/data/value", "value": "v)", below(1000), "\"}]");
    v1::ExecuteActionRequest request = testing::Request(
        "PatchConfigMap", {{"namespace", space}, {"configmap", NameOf(target)}, {"patch", patch}});
    request.set_dry_run(one_in(15));
    return request;
  }
  if (one_in(10)) {
    return testing::Request(one_in(2) ? "RolloutStatus" : "RestartDeployment",
                            {{"namespace", space}, {"deployment", NameOf(target)}});
  }
  v1::ExecuteActionRequest request =
      testing::Scale(1 + below(kNeedsApproval), space, NameOf(target));
  request.set_dry_run(one_in(15));
  if (one_in(6)) request.set_on_conflict(Execution::ON_CONFLICT_REJECT);
  if (one_in(6)) request.set_on_conflict(Execution::ON_CONFLICT_COALESCE);
  return request;
}

// What a failed run leaves: the log of the API server and of each process, and the stored events.
void Keep(testing::System& system, const History& history, const std::string& folder) {
  fs::copy(fs::path(system.LogFile("")), fs::path(folder) / "system", fs::copy_options::recursive);
  fs::copy_file(testing::Environment("CAPSTAN_E2E_AUDIT_LOG"), fs::path(folder) / "audit.log");
  std::ofstream events(fs::path(folder) / "events.txt");
  for (const v1::ExecutionEvent& event : history.events) events << event.ShortDebugString() << "\n";
  std::printf("kept in %s\n", folder.c_str());
}

TEST(PlaneTest, S2_56_ARealApiServerSawNoPromiseBroken) {
  const int executions = FromEnvironment("CAPSTAN_PLANE_EXECUTIONS", 50);
  const int seed =
      FromEnvironment("CAPSTAN_PLANE_SEED", static_cast<int>(std::random_device()() % 1'000'000));
  std::printf("seed %d, %d executions\n", seed, executions);
  std::fflush(stdout);
  char folder[] = "/tmp/capstan-plane.XXXXXX";
  CAPSTAN_CHECK(mkdtemp(folder) != nullptr);
  const std::string played = Cat(folder, "/played");
  fs::create_directory(played);
  testing::Install();
  MakeTargets();
  const auto system = testing::MakeSystem({}, {.named_callers = true});
  NoteWrites(*system);
  testing::Replace(Cat(system->catalog(), "/actions/scale_deployment.yaml"),
                   "\neffect: reversible\n", "\neffect: reversible\nblocks_after_failure: true\n");
  testing::WriteBundle(*system, "four-eyes",
                       Cat("violations := set()\n\nobligations contains {\"type\": \"approval\", "
                           "\"quorum\": 2} if input.parameters.replicas >= ",
                           kNeedsApproval, "\n"));
  const auto administrator = testing::ConnectToCluster();
  Player player(
      *administrator,
      {.name_space = "capstan-actions",
       .programs = {{"kubectl", testing::Environment("CAPSTAN_E2E_KUBECTL")},
                    {"capstan-action", testing::Bin("capstan-action")}},
       .folder = played,
       .kubeconfig = nlohmann::json::parse(testing::Kubectl("config view --raw --minify -o json")),
       .seed = seed});
  Crowd crowd(*system, {.executions = executions,
                        .seed = seed,
                        .patience = absl::Minutes(2) + executions * absl::Seconds(2),
                        .draw = Draw});
  const absl::Time began = absl::Now();

  crowd.Run();

  std::printf("%s in %.0f s\n%d pods played, %d failed, %d deleted as they ran\n",
              crowd.Summary().c_str(), absl::ToDoubleSeconds(absl::Now() - began), player.played(),
              player.failed(), player.killed());
  EXPECT_EQ(crowd.ended(), executions);
  History history = CollectStored(*system);
  crowd.AddTo(history);
  std::ifstream log(testing::Environment("CAPSTAN_E2E_AUDIT_LOG"));
  ReadApiserverAudit(log, "capstan-actions", "capstan-system", history);
  std::printf("%zu events, %zu streams, %zu calls in the API server's log, %zu armed Jobs\n",
              history.events.size(), history.watched.size(), history.audit.size(),
              history.armed.size());
  EXPECT_THAT(history.armed, ::testing::SizeIs(::testing::Ge(executions / 3)));
  EXPECT_THAT(Check(history), IsEmpty()) << "seed " << seed;
  EXPECT_THAT(testing::AuditProblems(crowd.server()), IsEmpty());
  for (const auto& [name, target] : testing::Targets(crowd.server())) {
    EXPECT_EQ(target.holder(), "") << name;
    EXPECT_THAT(target.waiting(), IsEmpty()) << name;
  }
  if (::testing::Test::HasFailure()) return Keep(*system, history, folder);
  fs::remove_all(folder);
}

}  // namespace
}  // namespace capstan::proof
