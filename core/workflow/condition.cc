#include "core/workflow/condition.h"

#include <algorithm>

#include "core/workflow/path.h"

namespace capstan::workflow {
namespace {

using nlohmann::json;

json ToJson(const google::protobuf::Value& value) {
  switch (value.kind_case()) {
    case google::protobuf::Value::kBoolValue:
      return value.bool_value();
    case google::protobuf::Value::kNumberValue:
      return value.number_value();
    case google::protobuf::Value::kStringValue:
      return value.string_value();
    case google::protobuf::Value::kListValue: {
      json list = json::array();
      for (const auto& item : value.list_value().values()) list.push_back(ToJson(item));
      return list;
    }
    case google::protobuf::Value::kStructValue: {
      json object = json::object();
      for (const auto& [key, item] : value.struct_value().fields()) object[key] = ToJson(item);
      return object;
    }
    default:
      return nullptr;
  }
}

bool IsIn(const json& item, const json& list) {
  return list.is_array() && std::find(list.begin(), list.end(), item) != list.end();
}

bool Contains(const json& whole, const json& part) {
  if (whole.is_string() && part.is_string()) {
    return whole.get_ref<const std::string&>().find(part.get_ref<const std::string&>()) !=
           std::string::npos;
  }
  return IsIn(part, whole);
}

bool AreNumbers(const json& a, const json& b) { return a.is_number() && b.is_number(); }

bool Passes(const v1::ConditionTest& test, const Values& values) {
  const std::optional<json> field = Lookup(values, test.field());
  if (!field.has_value()) return test.op() == v1::ConditionTest::OPERATOR_NEQ;
  const json value = ToJson(test.value());
  switch (test.op()) {
    case v1::ConditionTest::OPERATOR_EQ:
      return *field == value;
    case v1::ConditionTest::OPERATOR_NEQ:
      return *field != value;
    case v1::ConditionTest::OPERATOR_IN:
      return IsIn(*field, value);
    case v1::ConditionTest::OPERATOR_CONTAINS:
      return Contains(*field, value);
    case v1::ConditionTest::OPERATOR_EXISTS:
      return true;
    case v1::ConditionTest::OPERATOR_GT:
      return AreNumbers(*field, value) && *field > value;
    case v1::ConditionTest::OPERATOR_LT:
      return AreNumbers(*field, value) && *field < value;
    default:
      return false;
  }
}

}  // namespace

bool Holds(const v1::StepCondition& condition, const Values& values) {
  const auto holds = [&](const v1::StepCondition& part) { return Holds(part, values); };
  if (!std::all_of(condition.all().begin(), condition.all().end(), holds)) return false;
  if (!condition.any().empty() &&
      std::none_of(condition.any().begin(), condition.any().end(), holds)) {
    return false;
  }
  return !condition.has_test() || Passes(condition.test(), values);
}

}  // namespace capstan::workflow
