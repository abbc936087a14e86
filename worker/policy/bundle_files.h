// The files of a policy directory: one folder a bundle, its .rego files inside. Read as they are;
// what they must look like is bundle_loader.h. A mounted ConfigMap (symlinks, a `..data` folder)
// reads like any other directory.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace capstan::policy {

inline constexpr std::size_t kMaxPolicyFiles = 512;
inline constexpr std::size_t kMaxPolicyFileBytes = 1 << 20;
inline constexpr std::size_t kMaxPolicyBytes = 8 << 20;

struct PolicyFile {
  std::string bundle;  // Folder name, such as "scale-safety".
  std::string path;    // "scale-safety/scale_safety.rego"
  std::string source;

  bool is_test() const { return path.ends_with("_test.rego"); }
};

struct BundleFiles {
  std::vector<PolicyFile> files;     // Sorted by path. Blank files are not there.
  std::vector<std::string> bundles;  // Sorted. Those with at least one file that is not a test.
  std::vector<std::string> missing;  // Required bundles that are not among `bundles`.
  std::string digest;                // SHA-256 (hex) over paths, contents and the required names.
};

// Reads a policy directory. Names that start with a dot, and files that are not .rego, are passed
// over.
//   NOT_FOUND         the directory is not there
//   INVALID_ARGUMENT  a .rego file outside a bundle, a folder inside one, a bad bundle name, a
//   .json or .yaml file (data
//                     files are not supported and must not be ignored silently), a limit above; fix
//                     the directory
//   UNAVAILABLE       the files cannot be read, or changed while they were read; try again
absl::StatusOr<BundleFiles> ReadBundleFiles(const std::string& directory,
                                            const std::vector<std::string>& required);

// Reads a directory of conditions: .rego files, no folders; deployment_exists.rego and
// deployment_exists_test.rego are the condition deployment_exists (PolicyFile::bundle). Names that
// start with a dot, and other files, are passed over; errors as above.
absl::StatusOr<BundleFiles> ReadConditionFiles(const std::string& directory);

// The same of files that were read already: sets their PolicyFile::bundle. `directory` is for
// errors.
absl::StatusOr<BundleFiles> ConditionFiles(std::string_view directory,
                                           std::vector<PolicyFile> files);

// The required bundles that are missing or empty right now, by a look at the folders only: cheap
// enough to ask before every evaluation.
std::vector<std::string> MissingBundles(const std::string& directory,
                                        const std::vector<std::string>& required);

// The last part of a bundle's package: "scale-safety" is package capstan.safety.rules.scale_safety.
std::string PackageName(std::string_view bundle);

}  // namespace capstan::policy
