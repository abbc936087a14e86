#pragma once

#include <nlohmann/json.hpp>

namespace capstan::kubesim {

using Json = nlohmann::json;

}  // namespace capstan::kubesim
