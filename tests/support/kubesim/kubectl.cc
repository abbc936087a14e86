#include "tests/support/kubesim/kubectl.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/kubesim/kubectl_drain.h"
#include "tests/support/kubesim/kubectl_line.h"
#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/patch.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

struct Target {
  std::string namespace_name;
  std::string name;
  std::string path;
};

// `deployment/NAME` or `deployment NAME`, from operand `at` on.
std::optional<Target> FindTarget(const CommandLine& line, size_t at, const ProgramRun& run) {
  std::vector<std::string> words(line.operands.begin() + static_cast<std::ptrdiff_t>(at),
                                 line.operands.end());
  if (words.size() == 1) words = Split(words[0], '/');
  static const std::set<std::string_view> kinds = {"deployment", "deployments", "deploy",
                                                   "deployment.apps", "deployments.apps"};
  if (words.size() != 2 || !kinds.contains(words[0])) return std::nullopt;
  Target target;
  auto flag = line.flags.find("namespace");
  target.namespace_name = flag == line.flags.end() ? run.namespace_name() : flag->second;
  target.name = words[1];
  target.path = Cat("/apis/apps/v1/namespaces/", target.namespace_name, "/deployments/", words[1]);
  return target;
}

bool ParseCount(const std::string& text, int* count) {
  if (text.empty() || text.size() > 9 ||
      text.find_first_not_of("0123456789") != std::string::npos) {
    return false;
  }
  *count = std::stoi(text);
  return true;
}

int Scale(ProgramRun& run, const CommandLine& line) {
  int replicas = 0;
  auto flag = line.flags.find("replicas");
  if (flag == line.flags.end() || !ParseCount(flag->second, &replicas)) {
    return Fail(run,
                "error: The --replicas=COUNT flag is required, and COUNT must be greater than "
                "or equal to 0");
  }
  std::optional<Target> target = FindTarget(line, 1, run);
  if (!target.has_value()) return Fail(run, "error: no objects passed to scale");
  ProgramRun::Reply current = run.Call("GET", target->path, nullptr, "");
  if (current.code != 200) return FailWith(run, current);
  if (auto expected = line.flags.find("current-replicas"); expected != line.flags.end()) {
    int64_t actual = NumberAt(current.body, {"spec", "replicas"});
    if (expected->second != "-1" && expected->second != std::to_string(actual)) {
      return Fail(run, Cat("error: Expected replicas to be ", expected->second, ", was ", actual));
    }
  }
  ProgramRun::Reply reply = run.Call("PATCH", target->path + "/scale",
                                     {{"spec", {{"replicas", replicas}}}}, kMergePatch.data());
  if (reply.code != 200) return FailWith(run, reply);
  run.Print(Cat("deployment.apps/", target->name, " scaled\n"));
  return 0;
}

// What kubectl says about a Deployment that is not done yet; "" when it is.
std::string Unfinished(const Json& deployment, std::string* error) {
  const std::string name = TextAt(deployment, {"metadata", "name"});
  if (NumberAt(deployment, {"metadata", "generation"}) >
      NumberAt(deployment, {"status", "observedGeneration"})) {
    return "Waiting for deployment spec update to be observed...\n";
  }
  const Json& conditions = At(deployment, {"status", "conditions"});
  for (size_t i = 0; conditions.is_array() && i < conditions.size(); ++i) {
    if (TextAt(conditions[i], {"reason"}) == "ProgressDeadlineExceeded") {
      *error = Cat("error: deployment \"", name, "\" exceeded its progress deadline");
      return "";
    }
  }
  int64_t wanted = NumberAt(deployment, {"spec", "replicas"}, 1);
  int64_t updated = NumberAt(deployment, {"status", "updatedReplicas"});
  int64_t replicas = NumberAt(deployment, {"status", "replicas"});
  int64_t available = NumberAt(deployment, {"status", "availableReplicas"});
  const std::string waiting = Cat("Waiting for deployment \"", name, "\" rollout to finish: ");
  if (updated < wanted) {
    return Cat(waiting, updated, " out of ", wanted, " new replicas have been updated...\n");
  }
  if (replicas > updated) {
    return Cat(waiting, replicas - updated, " old replicas are pending termination...\n");
  }
  if (available < updated) {
    return Cat(waiting, available, " of ", updated, " updated replicas are available...\n");
  }
  return "";
}

std::optional<int> RolloutStatus(ProgramRun& run, const CommandLine& line) {
  std::optional<Target> target = FindTarget(line, 2, run);
  if (!target.has_value()) return Fail(run, "error: required resource not specified");
  ProgramRun::Reply reply = run.Call("GET", target->path, nullptr, "");
  if (reply.code != 200) return FailWith(run, reply);
  std::string error;
  std::string waiting = Unfinished(reply.body, &error);
  if (!error.empty()) return Fail(run, error);
  if (waiting.empty()) {
    run.Print(Cat("deployment \"", target->name, "\" successfully rolled out\n"));
    return 0;
  }
  if (run.state()["said"] != waiting) run.Print(waiting);
  run.state()["said"] = waiting;
  absl::Duration timeout;
  auto flag = line.flags.find("timeout");
  if (flag == line.flags.end() || !absl::ParseDuration(flag->second, &timeout) ||
      timeout == absl::ZeroDuration()) {
    return std::nullopt;
  }
  if (run.Elapsed() >= timeout) return Fail(run, "error: timed out waiting for the condition");
  run.WakeAt(timeout);
  return std::nullopt;
}

// kubectl set image deployment/NAME CONTAINER=IMAGE…
int SetImage(ProgramRun& run, const CommandLine& line) {
  CommandLine named = line;
  std::vector<std::pair<std::string, std::string>> images;
  std::erase_if(named.operands, [&](const std::string& word) {
    size_t equals = word.find('=');
    if (equals == std::string::npos) return false;
    images.emplace_back(word.substr(0, equals), word.substr(equals + 1));
    return true;
  });
  std::optional<Target> target = FindTarget(named, 2, run);
  if (!target.has_value()) return Fail(run, "error: one or more resources must be specified");
  if (images.empty()) return Fail(run, "error: at least one image update is required");
  ProgramRun::Reply current = run.Call("GET", target->path, nullptr, "");
  if (current.code != 200) return FailWith(run, current);
  Json containers = Json::array();
  bool changes = false;
  for (const auto& [name, image] : images) {
    const Json& known = At(current.body, {"spec", "template", "spec", "containers"});
    auto container = std::find_if(known.begin(), known.end(),
                                  [&](const Json& c) { return c.value("name", "") == name; });
    if (container == known.end()) {
      return Fail(run, Cat("error: unable to find container named \"", name, "\""));
    }
    changes |= container->value("image", "") != image;
    containers.push_back({{"name", name}, {"image", image}});
  }
  if (!changes) return 0;
  ProgramRun::Reply reply = run.Call(
      "PATCH", target->path, {{"spec", {{"template", {{"spec", {{"containers", containers}}}}}}}},
      kStrategicMergePatch.data());
  if (reply.code != 200) return FailWith(run, reply);
  run.Print(Cat("deployment.apps/", target->name, " image updated\n"));
  return 0;
}

}  // namespace

std::optional<int> Kubectl(ProgramRun& run) {
  CommandLine line = ParseKubectl(run.argv());
  if (!line.error.empty()) return Fail(run, line.error);
  const std::string verb = line.operands.empty() ? "" : line.operands[0];
  if (verb == "scale") return Scale(run, line);
  if (verb == "cordon") return Cordon(run, line, /*unschedulable=*/true);
  if (verb == "uncordon") return Cordon(run, line, /*unschedulable=*/false);
  if (verb == "drain") return Drain(run, line);
  if (line.operands.size() >= 2 && verb == "set" && line.operands[1] == "image") {
    return SetImage(run, line);
  }
  if (line.operands.size() >= 2 && line.operands[0] == "rollout" && line.operands[1] == "status") {
    return RolloutStatus(run, line);
  }
  return Fail(run,
              Cat("error: unknown command \"", Join(line.operands, " "), "\" for \"kubectl\""));
}

}  // namespace capstan::kubesim
