// The command line of capstan-action, read and checked before anything is done.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "nlohmann/json.hpp"

namespace capstan::action_program {

enum class Verb {
  kRestartDeployment,
  kDeletePod,
  kPatchConfigMap,
  kBackupSecret,
  kPatchSecret,
  kRestoreSecret,
};

inline constexpr int64_t kMaxGraceSeconds = 3600;

// Fields that a verb does not have keep their defaults.
struct Command {
  Verb verb = Verb::kRestartDeployment;
  std::string name_space = {};
  std::string name = {};        // of the target
  std::string kubeconfig = {};  // empty: the pod's own account
  std::string context = {};     // of the kubeconfig; empty: its current one

  std::string at = {};                             // restart-deployment: RFC 3339
  std::string uid = {};                            // delete-pod
  int64_t grace_seconds = 30;                      // delete-pod
  std::string resource_version = {};               // patch-config-map
  nlohmann::json patch = nlohmann::json::array();  // patch-config-map: RFC 6902, checked
  std::string patch_file = {};                     // patch-secret
  std::string backup_namespace = {};               // backup-secret, restore-secret
  std::string backup_name = {};                    // backup-secret, restore-secret
};

// `args` without the program's name. INVALID_ARGUMENT: the message is for a person and names the
// option. CANCELLED: --help or --version was asked for; the message is what to print.
absl::StatusOr<Command> ParseCommandLine(const std::vector<std::string>& args);

}  // namespace capstan::action_program
