// Facts of a ConfigMap, and of a Secret, of which nothing is read.
#include <set>

#include "core/ids.h"
#include "core/status_macros.h"
#include "worker/kubernetes/facts_reader.h"

namespace capstan::kubernetes {
namespace {

// Bytes that are not UTF-8 are kept from ever getting here by the API: values are JSON strings.
std::string Bytes(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// "add" to a member that is there replaces it, so this works whatever became of the ConfigMap.
std::string RestorePatch(const Json& data, const Json& binary_data) {
  const Json patch =
      Json::array({{{"op", "add"}, {"path", "/data"}, {"value", data}},
                   {{"op", "add"}, {"path", "/binaryData"}, {"value", binary_data}}});
  std::string text = Bytes(patch);
  return text.size() <= kMaxRestorePatchBytes ? text : "";
}

}  // namespace

absl::StatusOr<Json> ReadConfigMapFact(Client& client, const FactTarget& target,
                                       const CallOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(Json fact, NotFoundFact(client, "ConfigMap", target, options));
  CAPSTAN_ASSIGN_OR_RETURN(const std::optional<Json> config_map,
                           Find(client, kConfigMaps, target.name_space, target.name, options));
  if (!config_map) return fact;
  const Json data = ObjectField(*config_map, {"data"});
  const Json binary_data = ObjectField(*config_map, {"binaryData"});
  std::set<std::string> keys;
  size_t size = 0;
  for (const Json* values : {&data, &binary_data}) {
    for (const auto& [key, value] : values->items()) {
      keys.insert(key);
      size += key.size() + (value.is_string() ? value.get_ref<const std::string&>().size() : 0);
    }
  }
  SetFound(*config_map, &fact);
  fact["immutable"] = BoolField(*config_map, {"immutable"});
  fact["size_bytes"] = size;
  fact["keys"] = keys;
  fact["data_sha256"] = Sha256Hex(Bytes({{"binaryData", binary_data}, {"data", data}}));
  fact["restore_patch"] = RestorePatch(data, binary_data);
  return fact;
}

absl::StatusOr<Json> ReadSecretFact(Client& client, const FactTarget& target,
                                    const CallOptions& options) {
  CAPSTAN_ASSIGN_OR_RETURN(Json fact, NotFoundFact(client, "Secret", target, options));
  fact["found"] = true;  // as far as we may know
  fact["readable"] = false;
  fact["uid"] = "";
  fact["resource_version"] = "";
  fact["labels"] = Json::object();
  return fact;
}

}  // namespace capstan::kubernetes
