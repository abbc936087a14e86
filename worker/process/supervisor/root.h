// The file system that a child sees.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/process/supervisor/id_map.h"
#include "worker/process/wire.h"

namespace capstan::process {

// Where the secrets of a sandboxed child lie.
inline constexpr char kSecretsFolder[] = "/run/secrets";

// Both are for the init of the child's namespaces, with all rights over them. An error names the
// path that is wrong.

// A new root: the programs of the machine, read only; what `order` gives; a private /tmp; a /proc
// of the child's own processes; a few devices. `maps` says whom a given folder belongs to.
absl::Status EnterNewRoot(const Order& order, const IdMaps& maps);

// The machine's files as they are, but for /proc and, in `secrets_folder`, the secrets.
absl::Status KeepRoot(const Order& order, const std::string& secrets_folder);

// What Landlock lets through in a new root, and what for writing.
std::vector<std::string> WritablePaths(const Order& order);

}  // namespace capstan::process
