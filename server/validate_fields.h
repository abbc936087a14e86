// Checks of single fields that several requests have. Inside of validate.h.
#pragma once

#include <google/protobuf/duration.pb.h>
#include <google/protobuf/map.h>

#include <string>
#include <string_view>

#include "capstan/v1/execution_service.pb.h"
#include "core/ids.h"
#include "core/text.h"
#include "server/errors.h"
#include "server/validate.h"

namespace capstan::server {

inline constexpr int kLowestPriority = 5;

// A caller's text as it is repeated in an error.
std::string Quote(std::string_view text);

void CheckLabels(const google::protobuf::Map<std::string, std::string>& labels,
                 Violations& violations);
void CheckParent(const v1::Parent& parent, Violations& violations);
bool IsValid(const google::protobuf::Duration& duration);

// What every request that makes an execution has: request_id, priority, wait_until, labels, parent.
template <class Request>
void CheckSubmitFields(const Request& request, Violations& violations) {
  if (!request.request_id().empty() && !ExecutionId::Parse(request.request_id())) {
    violations.Add("request_id",
                   Cat("got ", Quote(request.request_id()), ", want a UUID or nothing"));
  }
  if (request.priority() < 0 || request.priority() > kLowestPriority) {
    violations.Add("priority", Cat("got ", request.priority(), ", want 1 (first) to ",
                                   kLowestPriority, " (last), or 0 for ", kDefaultPriority));
  }
  if (!v1::ExecuteActionRequest::WaitUntil_IsValid(request.wait_until())) {
    violations.Add("wait_until", Cat("got ", static_cast<int>(request.wait_until()),
                                     ", want WAIT_UNTIL_ACCEPTED or "
                                     "WAIT_UNTIL_TERMINAL"));
  }
  CheckLabels(request.labels(), violations);
  if (request.has_parent()) CheckParent(request.parent(), violations);
}

}  // namespace capstan::server
