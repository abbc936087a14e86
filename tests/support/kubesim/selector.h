// labelSelector and fieldSelector of list and watch.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/support/kubesim/json.h"

namespace capstan::kubesim {

// Immutable.
class Selector {
 public:
  // Labels: `k=v`, `k==v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, `k`, `!k`, joined by commas.
  // Fields: `=`, `==`, `!=` on metadata.name, metadata.namespace, status.phase, spec.nodeName,
  // involvedObject.{kind,name,uid}, reason, type. INVALID_ARGUMENT with what the real server says:
  // answer 400.
  static absl::StatusOr<Selector> Parse(std::string_view labels, std::string_view fields);

  bool Matches(const Json& object) const;

 private:
  enum class Operator { kIn, kNotIn, kExists, kAbsent };
  struct Requirement {
    std::string key;
    Operator op = Operator::kIn;
    std::vector<std::string> values;
  };

  static absl::StatusOr<Requirement> ParseRequirement(std::string_view text);
  static bool Holds(const Requirement& requirement, const Json& value);

  std::vector<Requirement> labels_;
  std::vector<Requirement> fields_;
};

}  // namespace capstan::kubesim
