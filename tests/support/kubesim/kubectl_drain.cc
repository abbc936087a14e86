#include "tests/support/kubesim/kubectl_drain.h"

#include <map>
#include <string>
#include <vector>

#include "tests/support/kubesim/object_store.h"
#include "tests/support/kubesim/patch.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

constexpr absl::Duration kRetryEviction = absl::Seconds(5);

// `node/NAME`, `node NAME` or `NAME`.
std::string NodeName(const CommandLine& line) {
  std::vector<std::string> words(line.operands.begin() + 1, line.operands.end());
  if (words.size() == 1) words = Split(words[0], '/');
  if (words.size() == 2 && (words[0] == "node" || words[0] == "nodes")) words.erase(words.begin());
  return words.size() == 1 ? words[0] : "";
}

std::string PodPath(const std::string& namespace_name, const std::string& name) {
  return Cat("/api/v1/namespaces/", namespace_name, "/pods/", name);
}

const Json& ControllerOf(const Json& pod) {
  static const Json kNone;
  const Json& owners = At(pod, {"metadata", "ownerReferences"});
  for (size_t i = 0; owners.is_array() && i < owners.size(); ++i) {
    if (At(owners[i], {"controller"}) == true) return owners[i];
  }
  return kNone;
}

bool HasEmptyDir(const Json& pod) {
  const Json& volumes = At(pod, {"spec", "volumes"});
  for (size_t i = 0; volumes.is_array() && i < volumes.size(); ++i) {
    if (volumes[i].contains("emptyDir")) return true;
  }
  return false;
}

struct Sorted {
  Json evict = Json::array();                               // {"namespace", "name", "uid"}
  std::map<std::string, std::vector<std::string>> refused;  // why -> pods
  std::map<std::string, std::vector<std::string>> warnings;
};

// kubectl's filters, in its order.
void Sort(ProgramRun& run, const CommandLine& line, const Json& pod, Sorted& sorted) {
  const std::string namespace_name = TextAt(pod, {"metadata", "namespace"});
  const std::string name = TextAt(pod, {"metadata", "name"});
  const std::string title = Cat(namespace_name, "/", name);
  const std::string phase = TextAt(pod, {"status", "phase"});
  const bool finished = phase == "Succeeded" || phase == "Failed";
  const Json& controller = ControllerOf(pod);

  if (TextAt(controller, {"kind"}) == "DaemonSet" && !finished) {
    const int code = run.Call("GET",
                              Cat("/apis/apps/v1/namespaces/", namespace_name, "/daemonsets/",
                                  TextAt(controller, {"name"})),
                              nullptr, "")
                         .code;
    if (code != 404 && !line.Switch("ignore-daemonsets")) {
      sorted.refused["cannot delete DaemonSet-managed Pods (use --ignore-daemonsets to ignore)"]
          .push_back(title);
      return;
    }
    if (code != 404) {
      sorted.warnings["ignoring DaemonSet-managed Pods"].push_back(title);
      return;
    }
  }
  if (At(pod, {"metadata", "annotations", "kubernetes.io/config.mirror"}).is_string()) return;
  if (HasEmptyDir(pod) && !finished) {
    if (!line.Switch("delete-emptydir-data")) {
      sorted
          .refused["cannot delete Pods with local storage (use --delete-emptydir-data to override)"]
          .push_back(title);
      return;
    }
    sorted.warnings["deleting Pods with local storage"].push_back(title);
  }
  if (controller.is_null() && !finished) {
    if (!line.Switch("force")) {
      sorted.refused["cannot delete Pods that declare no controller (use --force to override)"]
          .push_back(title);
      return;
    }
    sorted.warnings["deleting Pods that declare no controller"].push_back(title);
  }
  sorted.evict.push_back(
      {{"namespace", namespace_name}, {"name", name}, {"uid", TextAt(pod, {"metadata", "uid"})}});
}

int SetUnschedulable(ProgramRun& run, const std::string& node, bool unschedulable) {
  const std::string path = Cat("/api/v1/nodes/", node);
  ProgramRun::Reply current = run.Call("GET", path, nullptr, "");
  if (current.code != 200) return FailWith(run, current);
  const std::string done = unschedulable ? "cordoned" : "uncordoned";
  if ((At(current.body, {"spec", "unschedulable"}) == true) == unschedulable) {
    run.Print(Cat("node/", node, " already ", done, "\n"));
    return 0;
  }
  const Json value = unschedulable ? Json(true) : Json(nullptr);
  ProgramRun::Reply reply =
      run.Call("PATCH", path, {{"spec", {{"unschedulable", value}}}}, kStrategicMergePatch.data());
  if (reply.code != 200) return FailWith(run, reply);
  run.Print(Cat("node/", node, " ", done, "\n"));
  return 0;
}

// Cordons the node and notes what is to be evicted; the exit code when that failed.
std::optional<int> BeginDrain(ProgramRun& run, const CommandLine& line, const std::string& node) {
  if (int code = SetUnschedulable(run, node, true); code != 0) return code;
  ProgramRun::Reply pods = run.Call("GET", "/api/v1/pods", nullptr, "");
  if (pods.code != 200) return FailWith(run, pods);
  Sorted sorted;
  for (const Json& pod : pods.body["items"]) {
    if (TextAt(pod, {"spec", "nodeName"}) == node) Sort(run, line, pod, sorted);
  }
  if (!sorted.refused.empty()) {
    std::vector<std::string> parts;
    for (const auto& [why, titles] : sorted.refused) {
      parts.push_back(Cat(why, ": ", Join(titles, ", ")));
    }
    const std::string error = parts.size() == 1 ? parts[0] : Cat("[", Join(parts, ", "), "]");
    return Fail(run, Cat("error: unable to drain node \"", node, "\" due to error: ", error,
                         ", continuing command...\nThere are pending nodes to be drained:\n ", node,
                         "\n", error));
  }
  for (const auto& [what, titles] : sorted.warnings) {
    run.Print(Cat("Warning: ", what, ": ", Join(titles, ", "), "\n"));
  }
  for (const Json& pod : sorted.evict) {
    run.Print(Cat("evicting pod ", TextAt(pod, {"namespace"}), "/", TextAt(pod, {"name"}), "\n"));
  }
  run.state()["pods"] = sorted.evict;
  return std::nullopt;
}

// True when the pod is gone. An error of the server ends the drain: `code` is set then.
bool Evict(ProgramRun& run, const CommandLine& line, Json& pod, std::optional<int>* code) {
  const std::string namespace_name = TextAt(pod, {"namespace"});
  const std::string name = TextAt(pod, {"name"});
  const std::string path = PodPath(namespace_name, name);
  ProgramRun::Reply current = run.Call("GET", path, nullptr, "");
  if (current.code == 404 || TextAt(current.body, {"metadata", "uid"}) != TextAt(pod, {"uid"})) {
    run.Print(Cat("pod/", name, " evicted\n"));
    return true;
  }
  if (pod.contains("evicted")) return false;
  Json eviction = {{"apiVersion", "policy/v1"},
                   {"kind", "Eviction"},
                   {"metadata", {{"name", name}, {"namespace", namespace_name}}},
                   {"deleteOptions", Json::object()}};
  if (const std::string grace = line.Flag("grace-period"); !grace.empty() && grace != "-1") {
    eviction["deleteOptions"]["gracePeriodSeconds"] = std::atoi(grace.c_str());
  }
  ProgramRun::Reply reply = run.Call("POST", path + "/eviction", eviction, "application/json");
  if (reply.code < 300) {
    pod["evicted"] = true;
  } else if (reply.code == 429) {
    if (!pod.contains("refused")) {
      run.Print(Cat("error when evicting pods/\"", name, "\" -n \"", namespace_name,
                    "\" (will retry after 5s): ", TextAt(reply.body, {"message"}), "\n"));
    }
    pod["refused"] = true;
  } else if (reply.code != 404) {
    *code = Fail(run, Cat("error when evicting pods/\"", name, "\" -n \"", namespace_name,
                          "\": ", TextAt(reply.body, {"message"})));
  }
  return false;
}

}  // namespace

int Cordon(ProgramRun& run, const CommandLine& line, bool unschedulable) {
  const std::string node = NodeName(line);
  if (node.empty()) return Fail(run, "error: USAGE: cordon NODE [flags]");
  return SetUnschedulable(run, node, unschedulable);
}

std::optional<int> Drain(ProgramRun& run, const CommandLine& line) {
  const std::string node = NodeName(line);
  if (node.empty()) return Fail(run, "error: USAGE: drain NODE [flags]");
  if (!run.state().contains("pods")) {
    if (std::optional<int> ended = BeginDrain(run, line, node)) return ended;
  }

  Json left = Json::array();
  for (Json pod : Json(run.state()["pods"])) {
    std::optional<int> code;
    if (!Evict(run, line, pod, &code)) left.push_back(pod);
    if (code.has_value()) return code;
  }
  run.state()["pods"] = left;
  if (left.empty()) {
    run.Print(Cat("node/", node, " drained\n"));
    return 0;
  }
  absl::Duration timeout = absl::ZeroDuration();
  absl::ParseDuration(line.Flag("timeout"), &timeout);
  if (timeout > absl::ZeroDuration() && run.Elapsed() >= timeout) {
    return Fail(run, Cat("error: unable to drain node \"", node,
                         "\" due to error: error when waiting for pods: global timeout reached: ",
                         line.Flag("timeout"), ", continuing command..."));
  }
  if (timeout > absl::ZeroDuration()) run.WakeAt(timeout);
  run.WakeAt(run.Elapsed() + kRetryEviction);
  return std::nullopt;
}

}  // namespace capstan::kubesim
