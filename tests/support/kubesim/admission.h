// What happens to an object between the request and the store: defaults, validation, immutability.
#pragma once

#include <optional>
#include <string>

#include "tests/support/kubesim/api_reply.h"
#include "tests/support/kubesim/json.h"
#include "tests/support/kubesim/resource.h"

namespace capstan::kubesim {

// The defaults the real server writes into a new object (Jobs, their pods' templates, Deployments,
// Pods).
void ApplyDefaults(const Resource& resource, Json& object);

// The reply that refuses a new object: 422 with every wrong field, or nothing when it may be
// stored.
std::optional<ApiReply> ValidateCreate(const Resource& resource, const std::string& name,
                                       const Json& object);

// The same for a change: identity and a Job's template, selector and completions are immutable.
std::optional<ApiReply> ValidateUpdate(const Resource& resource, const std::string& name,
                                       const Json& before, const Json& after);

// fieldValidation=Strict: 400 naming the fields of a Job or Deployment that do not exist.
std::optional<ApiReply> ValidateFields(const Resource& resource, const Json& object);

}  // namespace capstan::kubesim
