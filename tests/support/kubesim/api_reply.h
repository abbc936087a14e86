// Answers of the API server, shaped and worded as the real one does.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/kubesim/json.h"
#include "tests/support/kubesim/resource.h"

namespace capstan::kubesim {

struct ApiReply {
  int code = 200;
  Json body;
  std::optional<std::string> text;  // a plain text body instead of `body`
  std::vector<std::pair<std::string, std::string>> headers;
  bool applied = false;  // the call changed the store
  std::string uid;       // of the object it was about

  bool ok() const { return code < 400; }
};

struct FieldError {
  std::string reason;  // FieldValueRequired, FieldValueInvalid
  std::string field;
  std::string message;  // "Required value", "Invalid value: 3: must be …"
};

// A v1 Status of failure. `details` may be null.
Json StatusBody(int code, std::string_view reason, std::string_view message, Json details);
ApiReply StatusReply(int code, std::string_view reason, std::string_view message,
                     Json details = nullptr);
// The reason the real server gives with this code when nothing more is known.
std::string_view ReasonOf(int code);

ApiReply BadRequest(std::string_view message);
ApiReply Unauthorized();
ApiReply ForbiddenReply(const Resource& resource, const std::string& name, std::string_view why);
ApiReply NotFoundPath();
ApiReply NotFound(const Resource& resource, const std::string& name);
ApiReply AlreadyExists(const Resource& resource, const std::string& name);
ApiReply Conflict(const Resource& resource, const std::string& name, std::string_view why);
ApiReply ModifiedConflict(const Resource& resource, const std::string& name);
ApiReply Invalid(const Resource& resource, const std::string& name,
                 const std::vector<FieldError>& errors);
ApiReply Expired(std::string_view message);
ApiReply MethodNotAllowed();

}  // namespace capstan::kubesim
