#include "core/workflow/path.h"
#include "core/workflow/problems.h"

namespace capstan::workflow {
namespace {

constexpr int kMaxDepth = 8;
constexpr int kMaxParts = 64;  // of one all or any

using Test = v1::ConditionTest;

void CheckValue(const Test& test, const std::string& path, Problems& problems) {
  const bool given = test.has_value();
  const google::protobuf::Value& value = test.value();
  switch (test.op()) {
    case Test::OPERATOR_EXISTS:
      if (given) problems.Add(path, "got one, want none with exists");
      return;
    case Test::OPERATOR_IN:
      if (!value.has_list_value()) problems.Add(path, "got no list, want a list with in");
      return;
    case Test::OPERATOR_GT:
    case Test::OPERATOR_LT:
      if (!value.has_number_value()) problems.Add(path, "got no number, want one with gt and lt");
      return;
    default:
      if (!given) problems.Add(path, "got none, want one");
  }
}

void CheckTest(const Test& test, const std::string& path, Problems& problems) {
  if (absl::Status status = CheckReference(test.field()); !status.ok()) {
    problems.Add(path + ".field", std::string(status.message()));
  }
  if (!Test::Operator_IsValid(test.op()) || test.op() == Test::OPERATOR_UNSPECIFIED) {
    return problems.Add(path + ".op",
                        "got none, want one of eq, neq, in, contains, exists, gt, lt");
  }
  CheckValue(test, path + ".value", problems);
}

void CheckPart(const v1::StepCondition& condition, const std::string& path, int depth,
               Problems& problems) {
  const int given = !condition.all().empty() + !condition.any().empty() + condition.has_test();
  if (given != 1) {
    return problems.Add(path, Cat("got ", given, " of all, any and test, want exactly one"));
  }
  if (condition.has_test()) return CheckTest(condition.test(), path + ".test", problems);
  const bool is_all = !condition.all().empty();
  const auto& parts = is_all ? condition.all() : condition.any();
  const std::string at = path + (is_all ? ".all" : ".any");
  if (depth == kMaxDepth || parts.size() > kMaxParts) {
    return problems.Add(
        at, Cat("got more, want at most ", kMaxParts, " parts in ", kMaxDepth, " levels"));
  }
  for (int i = 0; i < parts.size(); ++i) {
    CheckPart(parts[i], ItemPath(at, i), depth + 1, problems);
  }
}

}  // namespace

void CheckCondition(const v1::StepCondition& condition, const std::string& path,
                    Problems& problems) {
  CheckPart(condition, path, 0, problems);
}

}  // namespace capstan::workflow
