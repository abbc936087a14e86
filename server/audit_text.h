// Entries of the audit log as the server writes them.
#pragma once

#include <map>
#include <string>

namespace capstan::server {

// A JSON object; every value is text.
std::string AuditText(const std::map<std::string, std::string>& fields);

}  // namespace capstan::server
