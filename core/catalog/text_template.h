// Texts with references, ${scope.name} or ${name}, as catalog files use them. There is no escaping
// and no nesting: "${" always begins a reference.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace capstan::catalog {

// A literal piece (name is empty) or a reference.
struct TextPiece {
  std::string literal;
  std::string scope;  // parameters, captured, or empty
  std::string name;

  bool IsReference() const { return !name.empty(); }
};

// Splits a text. INVALID_ARGUMENT when a reference is not closed or not of the form above: fix the
// catalog file.
absl::StatusOr<std::vector<TextPiece>> SplitText(std::string_view text);

// The text with each reference replaced by what `value` gives for it. The result is one string
// whatever the values hold: nothing is ever split or interpreted again.
std::string ExpandText(std::string_view text,
                       const std::function<std::string(const TextPiece& reference)>& value);

}  // namespace capstan::catalog
