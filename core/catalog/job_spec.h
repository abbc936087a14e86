// The Kubernetes Job of an execution, as bytes. They are stored before anything is launched, and
// whoever continues posts those stored bytes: rendering happens once per execution.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/catalog/action_definition.h"
#include "core/catalog/parameters.h"
#include "core/catalog/runner_images.h"
#include "core/ids.h"

namespace capstan::catalog {

struct JobRequest {
  ExecutionId execution;
  const ActionDefinition& action;
  const TypedParameters& parameters;  // checked against `action`
  absl::Duration timeout;             // the Job's deadline from the moment it is armed
  std::string actions_namespace;
  std::string installation;  // put on the Job as a label: only ours are watched
  const RunnerImages& images;
  std::string traceparent;  // W3C, given to the containers as TRACEPARENT; may be empty
};

struct RenderedJob {
  std::string name;  // capstan-<32 hex digits of the execution>
  std::string json;  // canonical: sorted keys, no white space
  // SHA-256 in hex of the JSON without this annotation; in it as annotation, so that our own Job is
  // recognised.
  std::string spec_hash;
};

// "capstan-<32 hex digits>": fixed by the execution, never by the attempt.
std::string JobNameOf(const ExecutionId& execution);

// A suspended Job that runs at most one pod at most once, locked down to the restricted Pod
// Security level; nothing of that can be changed by a request. INVALID_ARGUMENT when `images` lacks
// an alias that the action names or the namespace or installation is not a DNS label: configuration
// is wrong, and no retry helps.
absl::StatusOr<RenderedJob> RenderJob(const JobRequest& request);

}  // namespace capstan::catalog
