// The Kubernetes Job of an execution, as bytes. They are stored before anything is launched, and
// whoever continues posts those stored bytes: rendering happens once per execution.
#pragma once

#include <google/protobuf/struct.pb.h>

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
  // What was captured before the change, by the action's names.
  google::protobuf::Struct captured = {};
  // Of the execution: the same however often the Job is rendered.
  absl::Time create_time = absl::InfinitePast();
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

// A suspended Job that runs one pod at a time, locked down to the restricted Pod Security level;
// nothing of that can be changed by a request. Any failure of the pod fails the Job, except that
// for actions that may run twice (effect read or idempotent) a pod that was killed or moved away is
// replaced, within the deadline. A Job that changes a node does not run on it. Every text of an
// argv is one argument with exactly the bytes of its values: Kubernetes' own $(VAR) expansion finds
// nothing to expand. INVALID_ARGUMENT when `images` lacks an alias that the action names, the
// namespace or installation is not a DNS label, or a text needs something that was not captured:
// no retry helps.
absl::StatusOr<RenderedJob> RenderJob(const JobRequest& request);

}  // namespace capstan::catalog
