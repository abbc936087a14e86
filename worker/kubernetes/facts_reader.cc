#include "worker/kubernetes/facts_reader.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_join.h"
#include "core/catalog/quantity.h"
#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::kubernetes {
namespace {

bool HasCondition(const Json& object, std::string_view type) {
  for (const Json& condition : ArrayField(object, {"status", "conditions"})) {
    if (StringField(condition, {"type"}) == type) {
      return StringField(condition, {"status"}) == "True";
    }
  }
  return false;
}

absl::StatusOr<int64_t> Amount(const Json& quantities, std::string_view resource, double factor) {
  const Json* field = FindField(quantities, {resource});
  if (field == nullptr) return 0;
  const std::string text = field->is_string() ? field->get<std::string>() : field->dump();
  absl::StatusOr<double> value = catalog::ParseQuantity(text);
  if (!value.ok()) {
    return absl::InternalError(Cat(resource, ": ", std::string(value.status().message())));
  }
  return static_cast<int64_t>(std::ceil(*value * factor));
}

std::vector<std::string> Values(const Json& expression) {
  std::vector<std::string> values;
  for (const Json& value : ArrayField(expression, {"values"})) {
    if (value.is_string()) values.push_back(value.get<std::string>());
  }
  return values;
}

bool Holds(const Json& expression, const Json& labels) {
  const Json* label = FindField(labels, {StringField(expression, {"key"})});
  const std::string op = StringField(expression, {"operator"});
  const std::vector<std::string> values = Values(expression);
  const bool listed =
      label != nullptr && label->is_string() &&
      std::find(values.begin(), values.end(), label->get<std::string>()) != values.end();
  if (op == "In") return listed;
  if (op == "NotIn") return !listed;
  if (op == "Exists") return label != nullptr;
  if (op == "DoesNotExist") return label == nullptr;
  return false;  // the API knows no others
}

std::string ExpressionText(const Json& expression) {
  const std::string key = StringField(expression, {"key"});
  const std::string op = StringField(expression, {"operator"});
  if (op == "Exists") return key;
  if (op == "DoesNotExist") return Cat("!", key);
  return Cat(key, op == "In" ? " in (" : " notin (", absl::StrJoin(Values(expression), ","), ")");
}

}  // namespace

absl::StatusOr<std::optional<Json>> Find(Client& client, Resource resource,
                                         std::string_view name_space, std::string_view name,
                                         const CallOptions& options) {
  absl::StatusOr<Json> object = client.Get(resource, name_space, name, options);
  if (absl::IsNotFound(object.status())) return std::nullopt;
  CAPSTAN_RETURN_IF_ERROR(object.status());
  return *std::move(object);
}

absl::StatusOr<Json> NotFoundFact(Client& client, std::string_view kind, const FactTarget& target,
                                  const CallOptions& options) {
  Json fact = {
      {"kind", kind}, {"namespace", target.name_space}, {"name", target.name}, {"found", false}};
  if (target.name_space.empty()) return fact;
  CAPSTAN_ASSIGN_OR_RETURN(const std::optional<Json> scope,
                           Find(client, kNamespaces, "", target.name_space, options));
  fact["namespace_found"] = scope.has_value();
  fact["namespace_labels"] =
      scope ? ObjectField(*scope, {"metadata", "labels"}) : Json(Json::object());
  fact["namespace_phase"] = scope ? StringField(*scope, {"status", "phase"}) : "";
  return fact;
}

void SetFound(const Json& object, Json* fact) {
  (*fact)["found"] = true;
  (*fact)["uid"] = StringField(object, {"metadata", "uid"});
  (*fact)["resource_version"] = StringField(object, {"metadata", "resourceVersion"});
  (*fact)["labels"] = ObjectField(object, {"metadata", "labels"});
  if (FindField(object, {"metadata", "generation"}) != nullptr) {
    (*fact)["generation"] = IntField(object, {"metadata", "generation"});
  }
}

Json ObjectField(const Json& object, FieldPath path) {
  const Json* field = FindField(object, path);
  return field != nullptr && field->is_object() ? *field : Json::object();
}

Amounts& Amounts::operator+=(const Amounts& other) {
  cpu_milli += other.cpu_milli;
  memory_bytes += other.memory_bytes;
  return *this;
}

Json Amounts::ToJson() const { return {{"cpu_milli", cpu_milli}, {"memory_bytes", memory_bytes}}; }

absl::StatusOr<Amounts> AmountsOf(const Json& quantities) {
  Amounts amounts;
  CAPSTAN_ASSIGN_OR_RETURN(amounts.cpu_milli, Amount(quantities, "cpu", 1000));
  CAPSTAN_ASSIGN_OR_RETURN(amounts.memory_bytes, Amount(quantities, "memory", 1));
  return amounts;
}

absl::StatusOr<Amounts> RequestsOf(const Json& pod_spec) {
  Amounts sum;
  for (const Json& container : ArrayField(pod_spec, {"containers"})) {
    CAPSTAN_ASSIGN_OR_RETURN(const Amounts requests,
                             AmountsOf(ObjectField(container, {"resources", "requests"})));
    sum += requests;
  }
  for (const Json& container : ArrayField(pod_spec, {"initContainers"})) {
    CAPSTAN_ASSIGN_OR_RETURN(const Amounts requests,
                             AmountsOf(ObjectField(container, {"resources", "requests"})));
    sum.cpu_milli = std::max(sum.cpu_milli, requests.cpu_milli);
    sum.memory_bytes = std::max(sum.memory_bytes, requests.memory_bytes);
  }
  return sum;
}

bool IsReadyNode(const Json& node) { return HasCondition(node, "Ready"); }

bool IsReadyPod(const Json& pod) { return HasCondition(pod, "Ready"); }

bool IsFinishedPod(const Json& pod) {
  const std::string phase = StringField(pod, {"status", "phase"});
  return phase == "Succeeded" || phase == "Failed";
}

bool IsTerminating(const Json& object) {
  return FindField(object, {"metadata", "deletionTimestamp"}) != nullptr;
}

const Json* ControllerOf(const Json& object) {
  for (const Json& owner : ArrayField(object, {"metadata", "ownerReferences"})) {
    if (BoolField(owner, {"controller"})) return &owner;
  }
  return nullptr;
}

bool MatchesSelector(const Json& selector, const Json& labels) {
  if (!selector.is_object()) return false;
  const Json wanted = ObjectField(selector, {"matchLabels"});
  for (const auto& [key, value] : wanted.items()) {
    const Json* label = FindField(labels, {key});
    if (label == nullptr || *label != value) return false;
  }
  const Json& expressions = ArrayField(selector, {"matchExpressions"});
  return std::all_of(expressions.begin(), expressions.end(),
                     [&](const Json& expression) { return Holds(expression, labels); });
}

std::string SelectorText(const Json& selector) {
  std::vector<std::string> parts;
  const Json wanted = ObjectField(selector, {"matchLabels"});
  for (const auto& [key, value] : wanted.items()) {
    parts.push_back(Cat(key, "=", value.is_string() ? value.get<std::string>() : ""));
  }
  for (const Json& expression : ArrayField(selector, {"matchExpressions"})) {
    parts.push_back(ExpressionText(expression));
  }
  return absl::StrJoin(parts, ",");
}

}  // namespace capstan::kubernetes
