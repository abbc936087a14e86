#include "core/catalog/text_template.h"

#include <algorithm>

#include "absl/strings/ascii.h"

#include "core/status_macros.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

bool IsWord(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '_';
  });
}

}  // namespace

absl::StatusOr<std::vector<TextPiece>> SplitText(std::string_view text) {
  std::vector<TextPiece> pieces;
  while (!text.empty()) {
    size_t open = text.find("${");
    if (open != 0) {
      pieces.push_back({.literal = std::string(text.substr(0, open)), .scope = "", .name = ""});
      text.remove_prefix(std::min(open, text.size()));
      continue;
    }
    size_t close = text.find('}');
    if (close == std::string_view::npos) {
      return absl::InvalidArgumentError(Cat("got \"", text, "\", want a closing }"));
    }
    std::string_view reference = text.substr(2, close - 2);
    size_t dot = reference.find('.');
    std::string_view scope = dot == std::string_view::npos ? "" : reference.substr(0, dot);
    std::string_view name = dot == std::string_view::npos ? reference : reference.substr(dot + 1);
    if (!IsWord(name) || (dot != std::string_view::npos && !IsWord(scope))) {
      return absl::InvalidArgumentError(
          Cat("got ${", reference, "}, want ${scope.name} in small letters"));
    }
    pieces.push_back({.literal = "", .scope = std::string(scope), .name = std::string(name)});
    text.remove_prefix(close + 1);
  }
  return pieces;
}

std::string ExpandText(std::string_view text,
                       const std::function<std::string(const TextPiece& reference)>& value) {
  absl::StatusOr<std::vector<TextPiece>> pieces = SplitText(text);
  CAPSTAN_CHECK(pieces.ok());  // texts are split once when the catalog is loaded
  std::string result;
  for (const TextPiece& piece : *pieces) {
    result += piece.IsReference() ? value(piece) : piece.literal;
  }
  return result;
}

}  // namespace capstan::catalog
