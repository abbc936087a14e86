#pragma once

#include "capstan/v1/catalog_service.pb.h"
#include "core/catalog/action_definition.h"

namespace capstan::catalog {

// A definition as the API shows it.
v1::Action ToProto(const ActionDefinition& action);

}  // namespace capstan::catalog
