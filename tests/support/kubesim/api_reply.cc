#include "tests/support/kubesim/api_reply.h"
#include "tests/support/kubesim/text.h"

namespace capstan::kubesim {
namespace {

Json Details(const Resource& resource, const std::string& name) {
  Json details = {{"kind", resource.plural}};
  if (!name.empty()) details["name"] = name;
  if (!resource.group.empty()) details["group"] = resource.group;
  return details;
}

std::string Quoted(const Resource& resource, const std::string& name) {
  return name.empty() ? QualifiedName(resource) : Cat(QualifiedName(resource), " \"", name, "\"");
}

}  // namespace

Json StatusBody(int code, std::string_view reason, std::string_view message, Json details) {
  Json body = {{"kind", "Status"},    {"apiVersion", "v1"}, {"metadata", Json::object()},
               {"status", "Failure"}, {"message", message}, {"reason", reason},
               {"code", code}};
  if (!details.is_null()) body["details"] = std::move(details);
  return body;
}

ApiReply StatusReply(int code, std::string_view reason, std::string_view message, Json details) {
  ApiReply reply;
  reply.code = code;
  reply.body = StatusBody(code, reason, message, std::move(details));
  return reply;
}

std::string_view ReasonOf(int code) {
  switch (code) {
    case 400:
      return "BadRequest";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "NotFound";
    case 405:
      return "MethodNotAllowed";
    case 409:
      return "Conflict";
    case 410:
      return "Expired";
    case 413:
      return "RequestEntityTooLarge";
    case 415:
      return "UnsupportedMediaType";
    case 422:
      return "Invalid";
    case 429:
      return "TooManyRequests";
    case 500:
      return "InternalError";
    case 503:
      return "ServiceUnavailable";
    case 504:
      return "Timeout";
    default:
      return "";
  }
}

ApiReply BadRequest(std::string_view message) { return StatusReply(400, "BadRequest", message); }

ApiReply Unauthorized() { return StatusReply(401, "Unauthorized", "Unauthorized"); }

ApiReply ForbiddenReply(const Resource& resource, const std::string& name, std::string_view why) {
  return StatusReply(403, "Forbidden", Cat(Quoted(resource, name), " is forbidden: ", why),
                     Details(resource, name));
}

ApiReply NotFoundPath() {
  return StatusReply(404, "NotFound", "the server could not find the requested resource",
                     Json::object());
}

ApiReply NotFound(const Resource& resource, const std::string& name) {
  return StatusReply(404, "NotFound", Cat(Quoted(resource, name), " not found"),
                     Details(resource, name));
}

ApiReply AlreadyExists(const Resource& resource, const std::string& name) {
  return StatusReply(409, "AlreadyExists", Cat(Quoted(resource, name), " already exists"),
                     Details(resource, name));
}

ApiReply Conflict(const Resource& resource, const std::string& name, std::string_view why) {
  return StatusReply(409, "Conflict",
                     Cat("Operation cannot be fulfilled on ", Quoted(resource, name), ": ", why),
                     Details(resource, name));
}

ApiReply ModifiedConflict(const Resource& resource, const std::string& name) {
  return Conflict(resource, name,
                  "the object has been modified; please apply your changes to the latest version "
                  "and try again");
}

ApiReply Invalid(const Resource& resource, const std::string& name,
                 const std::vector<FieldError>& errors) {
  std::vector<std::string> parts;
  Json causes = Json::array();
  for (const FieldError& error : errors) {
    parts.push_back(Cat(error.field, ": ", error.message));
    causes.push_back(
        {{"reason", error.reason}, {"message", error.message}, {"field", error.field}});
  }
  std::string text = parts.size() == 1 ? parts[0] : Cat("[", Join(parts, ", "), "]");
  Json details = {{"name", name}, {"kind", resource.kind}, {"causes", causes}};
  std::string kind(resource.kind);
  if (!resource.group.empty()) {
    details["group"] = resource.group;
    kind += Cat(".", resource.group);
  }
  return StatusReply(422, "Invalid", Cat(kind, " \"", name, "\" is invalid: ", text),
                     std::move(details));
}

ApiReply Expired(std::string_view message) { return StatusReply(410, "Expired", message); }

ApiReply MethodNotAllowed() {
  return StatusReply(405, "MethodNotAllowed",
                     "the server does not allow this method on the requested resource",
                     Json::object());
}

}  // namespace capstan::kubesim
