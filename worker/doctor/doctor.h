// `capstan-worker doctor`: asks a cluster whether it is as `capstan manifests` wants it.
#pragma once

#include <string>
#include <vector>

#include "core/catalog/catalog.h"
#include "core/catalog/manifests.h"
#include "worker/doctor/report.h"
#include "worker/kubernetes/client.h"

namespace capstan::doctor {

// Changes nothing. Blocks: a call for each right, at the client's rate. What cannot be asked is a
// finding of its own and not an error.
Report Examine(kubernetes::Client& client, const catalog::Catalog& catalog,
               const catalog::ManifestOptions& options);

// The flags of the command, which are no settings: -o text|json, and those of `capstan manifests`
// that say where things are.
struct Arguments {
  std::vector<const char*> rest;  // what the configuration reads
  bool json = false;
  std::string system_namespace;  // empty: the default of manifests
  std::string worker_account;
  std::vector<std::string> target_namespaces;
  std::string error;  // of a flag that has no value, or a wrong one
};

// Takes them out where the command is `doctor`; else leaves everything as it is.
Arguments TakeArguments(int argc, const char* const* argv);

}  // namespace capstan::doctor
