#include "core/target_name.h"

#include <algorithm>

#include "core/text.h"

namespace capstan {
namespace {

constexpr std::string_view kPrefix = "targets/";

}  // namespace

std::string TargetKey(const v1::Target& target) {
  if (target.namespace_().empty()) return Cat(target.kind(), "/", target.name());
  return Cat(target.kind(), "/", target.namespace_(), "/", target.name());
}

std::string TargetName(std::string_view key) { return Cat(kPrefix, key); }

std::optional<std::string> ParseTargetName(std::string_view name) {
  if (name.substr(0, kPrefix.size()) != kPrefix) return std::nullopt;
  const std::string_view key = name.substr(kPrefix.size());
  const auto slashes = std::count(key.begin(), key.end(), '/');
  if (slashes < 1 || slashes > 2 || key.front() == '/' || key.back() == '/' ||
      key.find("//") != key.npos) {
    return std::nullopt;
  }
  return std::string(key);
}

}  // namespace capstan
