#include "tests/support/kubesim/scheduler.h"

#include <map>
#include <vector>

#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

bool Tolerates(const Json& pod, const Json& taint) {
  const Json& tolerations = At(pod, {"spec", "tolerations"});
  for (size_t i = 0; tolerations.is_array() && i < tolerations.size(); ++i) {
    const Json& toleration = tolerations[i];
    const std::string key = TextAt(toleration, {"key"});
    const std::string effect = TextAt(toleration, {"effect"});
    if (!key.empty() && key != TextAt(taint, {"key"})) continue;
    if (!effect.empty() && effect != TextAt(taint, {"effect"})) continue;
    if (TextAt(toleration, {"operator"}) == "Exists") return true;
    if (!key.empty() && TextAt(toleration, {"value"}) == TextAt(taint, {"value"})) return true;
  }
  return false;
}

// Why the pod cannot go to this node; "" when it can.
std::string Obstacle(const Json& node, const Json& pod) {
  if (!IsTrueCondition(node, "Ready")) {
    return "node(s) had untolerated taint {node.kubernetes.io/not-ready: }";
  }
  if (At(node, {"spec", "unschedulable"}) == true) return "node(s) were unschedulable";
  const Json& taints = At(node, {"spec", "taints"});
  for (size_t i = 0; taints.is_array() && i < taints.size(); ++i) {
    if (TextAt(taints[i], {"effect"}) == "PreferNoSchedule" || Tolerates(pod, taints[i])) continue;
    return Cat("node(s) had untolerated taint {", TextAt(taints[i], {"key"}), ": ",
               TextAt(taints[i], {"value"}), "}");
  }
  const Json& selector = At(pod, {"spec", "nodeSelector"});
  if (!selector.is_object()) return "";
  for (const auto& [key, value] : selector.items()) {
    if (At(node, {"metadata", "labels", key.c_str()}) != value) {
      return "node(s) didn't match Pod's node affinity/selector";
    }
  }
  return "";
}

}  // namespace

bool IsTrueCondition(const Json& object, const char* type) {
  const Json& conditions = At(object, {"status", "conditions"});
  for (size_t i = 0; conditions.is_array() && i < conditions.size(); ++i) {
    if (conditions[i]["type"] == type) return conditions[i]["status"] == "True";
  }
  return false;
}

absl::StatusOr<std::string> PickNode(const ObjectStore& store, const Json& pod) {
  std::map<std::string, int> pods_on;
  for (const Object& other : store.List(*FindResource("pods"), "").objects) {
    ++pods_on[TextAt(*other, {"spec", "nodeName"})];
  }
  std::string best;
  std::map<std::string, int> obstacles;
  const std::vector<Object> nodes = store.List(*FindResource("nodes"), "").objects;
  for (const Object& node : nodes) {
    const std::string name = TextAt(*node, {"metadata", "name"});
    if (std::string obstacle = Obstacle(*node, pod); !obstacle.empty()) {
      ++obstacles[obstacle];
    } else if (best.empty() || pods_on[name] < pods_on[best]) {
      best = name;
    }
  }
  if (!best.empty()) return best;
  if (nodes.empty()) return absl::ResourceExhaustedError("no nodes available to schedule pods");
  std::vector<std::string> parts;
  for (const auto& [obstacle, count] : obstacles) parts.push_back(Cat(count, " ", obstacle));
  return absl::ResourceExhaustedError(
      Cat("0/", nodes.size(), " nodes are available: ", Join(parts, ", "), "."));
}

}  // namespace capstan::kubesim
