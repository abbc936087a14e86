// The names Capstan writes on Kubernetes objects. The renderer of Jobs sets them, the launch
// protocol and the watch read them; they are part of what an operator sees in a cluster, so they
// never change.
#pragma once

#include <string_view>

namespace capstan {

// "capstan-<32 hex digits of the execution id>": fixed by the execution and never by the attempt,
// so that a second create of the same execution meets the first one's Job.
inline constexpr std::string_view kJobNamePrefix = "capstan-";

// Labels of the Job and of its pod.
inline constexpr std::string_view kExecutionLabel = "capstan.dev/execution";
inline constexpr std::string_view kActionLabel = "capstan.dev/action";
// Two installations in one cluster watch and delete only their own Jobs.
inline constexpr std::string_view kInstallationLabel = "capstan.dev/installation";

// Annotations of the Job.
// Hash of the rendered Job: tells our own Job of an earlier attempt from a stranger's under the
// same name.
inline constexpr std::string_view kSpecHashAnnotation = "capstan.dev/spec-hash";
// "false" when created, set to "true" exactly once by the patch that also lifts the suspension.
inline constexpr std::string_view kArmedAnnotation = "capstan.dev/armed";
inline constexpr std::string_view kArmedFalse = "false";
inline constexpr std::string_view kArmedTrue = "true";

// Written by the Job controller on every pod of a Job; its value is the Job's uid.
inline constexpr std::string_view kControllerUidLabel = "batch.kubernetes.io/controller-uid";

}  // namespace capstan
