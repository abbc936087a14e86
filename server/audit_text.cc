#include "server/audit_text.h"

#include <nlohmann/json.hpp>

namespace capstan::server {

std::string AuditText(const std::map<std::string, std::string>& fields) {
  return nlohmann::json(fields).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace capstan::server
