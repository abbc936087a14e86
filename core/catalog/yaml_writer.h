// JSON values as YAML text for people. Internal to the catalog.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace capstan::catalog {

// One YAML document in block style, keys in the order of the value, ending with a line break. Texts
// that YAML could take for something else are quoted.
std::string ToYaml(const nlohmann::ordered_json& value);

}  // namespace capstan::catalog
