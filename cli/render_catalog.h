// Catalog and fleet as text for people. Pure.
#pragma once

#include <google/protobuf/repeated_ptr_field.h>

#include <string>

#include "capstan/v1/admin_service.pb.h"
#include "capstan/v1/catalog_service.pb.h"

namespace capstan::cli {

std::string ActionTable(const google::protobuf::RepeatedPtrField<v1::Action>& actions);

// One action with its parameters and a command line to run it.
std::string ActionDetails(const v1::Action& action);

std::string WorkerTable(const google::protobuf::RepeatedPtrField<v1::Worker>& workers);

}  // namespace capstan::cli
