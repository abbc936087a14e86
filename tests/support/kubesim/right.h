#pragma once

#include <compare>
#include <string>

namespace capstan::kubesim {

// Of RBAC: what somebody may do.
struct Right {
  std::string verb;
  std::string api_group;
  std::string resource;        // with its subresource: "pods/exec"
  std::string namespace_name;  // "" everywhere

  friend auto operator<=>(const Right&, const Right&) = default;
};

}  // namespace capstan::kubesim
