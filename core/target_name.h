// Names of targets: what locks and blocks are kept under, and what the API calls them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "capstan/v1/execution.pb.h"
#include "core/text.h"

namespace capstan {

// "Deployment/shop/web", or "Node/n1" for a kind without namespaces.
std::string TargetKey(const v1::Target& target);

// For people: "Deployment shop/web", or "Node n1".
inline std::string TargetText(const v1::Target& target) {
  return Cat(target.kind(), " ", target.namespace_(), target.namespace_().empty() ? "" : "/",
             target.name());
}

// "targets/Deployment/shop/web" and back; nullopt when it is anything else.
std::string TargetName(std::string_view key);
std::optional<std::string> ParseTargetName(std::string_view name);

}  // namespace capstan
