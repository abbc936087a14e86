// What the API server does to the data of ConfigMaps and Secrets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tests/support/kubesim/api_reply.h"
#include "tests/support/kubesim/json.h"
#include "tests/support/kubesim/resource.h"

namespace capstan::kubesim {

// A Secret's stringData goes into data; empty maps go away. Other kinds are left alone.
void NormalizeData(const Resource& resource, Json& object);

// The 400 for data that is no map of texts (base64 in a Secret's data and in binaryData).
std::optional<ApiReply> UndecodableData(const Resource& resource, const Json& object);

// Adds an error for keys that are no file names and for more than 1 MiB of values.
void CheckData(const Resource& resource, const Json& object, std::vector<FieldError>& errors);

// Adds an error for each change of an object that is immutable.
void CheckImmutable(const Resource& resource, const Json& before, const Json& after,
                    std::vector<FieldError>& errors);

}  // namespace capstan::kubesim
