// The shipped ScaleDeployment and ways to vary it.
#pragma once

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <fstream>
#include <sstream>
#include <string>
#include <string_view>

#include "core/catalog/action_definition.h"
#include "core/catalog/action_loader.h"
#include "core/catalog/catalog.h"
#include "core/status_macros.h"

namespace capstan::catalog {

inline std::string ScaleDeploymentYaml() {
  std::ifstream file(CAPSTAN_SOURCE_DIR "/catalog/actions/scale_deployment.yaml");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// All that is shipped.
inline Catalog ShippedCatalog() {
  absl::StatusOr<Catalog> catalog = Catalog::Load(CAPSTAN_SOURCE_DIR "/catalog/actions");
  CAPSTAN_CHECK(catalog.ok());
  return *std::move(catalog);
}

inline ActionDefinition Shipped(std::string_view name) {
  const Catalog catalog = ShippedCatalog();
  const ActionDefinition* action = catalog.Find(name);
  CAPSTAN_CHECK(action != nullptr);
  return *action;
}

// The shipped file with the first occurrence of `from` replaced.
inline std::string Edited(std::string_view from, std::string_view to) {
  std::string text = ScaleDeploymentYaml();
  size_t at = text.find(from);
  CAPSTAN_CHECK(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

inline absl::StatusOr<ActionDefinition> ParseEdited(std::string_view from, std::string_view to) {
  return ParseAction("a.yaml", Edited(from, to));
}

inline ActionDefinition ScaleDeployment() {
  absl::StatusOr<ActionDefinition> action = ParseAction("a.yaml", ScaleDeploymentYaml());
  CAPSTAN_CHECK(action.ok());
  return *std::move(action);
}

inline google::protobuf::Struct ParseStruct(std::string_view json) {
  google::protobuf::Struct result;
  CAPSTAN_CHECK(google::protobuf::util::JsonStringToMessage(std::string(json), &result).ok());
  return result;
}

}  // namespace capstan::catalog
