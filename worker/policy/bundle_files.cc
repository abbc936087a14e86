#include "worker/policy/bundle_files.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core/ids.h"
#include "core/status_macros.h"

namespace capstan::policy {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxBundleNameBytes = 63;

bool IsHidden(const fs::path& path) { return path.filename().string().starts_with('.'); }
bool IsRego(const fs::path& path) { return path.extension() == ".rego"; }
bool IsData(const fs::path& path) {
  return path.extension() == ".json" || path.extension() == ".yaml" || path.extension() == ".yml";
}
bool IsTest(const fs::path& path) { return path.filename().string().ends_with("_test.rego"); }

// Entries that are not hidden, sorted by name. Iterating by hand: the range form throws.
absl::StatusOr<std::vector<fs::path>> List(const fs::path& directory) {
  std::error_code error;
  std::vector<fs::path> entries;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (!IsHidden(it->path())) entries.push_back(it->path());
    if (entries.size() > kMaxPolicyFiles) {
      return absl::InvalidArgumentError(
          absl::StrCat(directory.string(), ": more than ", kMaxPolicyFiles, " entries"));
    }
  }
  if (error == std::errc::no_such_file_or_directory) {
    return absl::NotFoundError(absl::StrCat(directory.string(), ": no such directory"));
  }
  if (error) return absl::UnavailableError(absl::StrCat(directory.string(), ": ", error.message()));
  std::sort(entries.begin(), entries.end());
  return entries;
}

absl::Status CheckBundleName(const std::string& name) {
  const bool lower =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-") == std::string::npos;
  const bool starts_well = !name.empty() && name[0] >= 'a' && name[0] <= 'z';
  if (!lower || !starts_well || name.size() > kMaxBundleNameBytes || name.ends_with("-test")) {
    return absl::InvalidArgumentError(
        absl::StrCat("bundle \"", name, "\": want at most ", kMaxBundleNameBytes,
                     " of a-z, 0-9 and -, a letter first, and not ending in -test"));
  }
  return absl::OkStatus();
}

bool IsBlank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n") == std::string::npos;
}

absl::StatusOr<std::string> ReadFile(const fs::path& path) {
  std::error_code error;
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) return absl::UnavailableError(absl::StrCat(path.string(), ": ", error.message()));
  if (size > kMaxPolicyFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path.string(), ": larger than ", kMaxPolicyFileBytes, " bytes"));
  }
  std::ifstream stream(path, std::ios::binary);
  std::string source{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  if (!stream || source.size() != size) {
    return absl::UnavailableError(absl::StrCat(path.string(), ": cannot be read"));
  }
  return source;
}

// The .rego files of one folder; `what` names the folder in messages. The caller sets the bundles.
absl::Status ReadFolder(const fs::path& directory, const std::string& what,
                        std::vector<PolicyFile>& files) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, List(directory));
  for (const fs::path& path : entries) {
    const std::string name = absl::StrCat(what, path.filename().string());
    std::error_code error;
    if (fs::is_directory(path, error)) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": no folders inside are taken"));
    }
    if (IsData(path)) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ": data files are not supported; write the data as a rule"));
    }
    if (!IsRego(path)) continue;
    CAPSTAN_ASSIGN_OR_RETURN(std::string source, ReadFile(path));
    if (!IsBlank(source)) files.push_back({directory.filename().string(), name, std::move(source)});
  }
  return absl::OkStatus();
}

absl::Status ReadBundle(const fs::path& directory, std::vector<PolicyFile>& files) {
  const std::string bundle = directory.filename().string();
  CAPSTAN_RETURN_IF_ERROR(CheckBundleName(bundle));
  return ReadFolder(directory, absl::StrCat(bundle, "/"), files);
}

absl::Status CheckConditionName(const std::string& name) {
  const bool lower =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_") == std::string::npos;
  const bool starts_well = !name.empty() && name[0] >= 'a' && name[0] <= 'z';
  if (!lower || !starts_well || name.size() > kMaxBundleNameBytes) {
    return absl::InvalidArgumentError(absl::StrCat("condition \"", name, "\": want at most ",
                                                   kMaxBundleNameBytes,
                                                   " of a-z, 0-9 and _, a letter first"));
  }
  return absl::OkStatus();
}

std::string Digest(const BundleFiles& read, const std::vector<std::string>& required) {
  std::string text;
  for (const std::string& name : required) {
    absl::StrAppend(&text, "required ", name, "\n");
  }
  for (const PolicyFile& file : read.files) {
    absl::StrAppend(&text, "file ", file.path, " ", file.source.size(), "\n", file.source);
  }
  return Sha256Hex(text);
}

// Fills `bundles` and holds all files together to their limits.
absl::Status Summarize(const std::string& directory, BundleFiles& read) {
  std::size_t bytes = 0;
  std::set<std::string> bundles;
  for (const PolicyFile& file : read.files) {
    bytes += file.source.size();
    if (!file.is_test()) bundles.insert(file.bundle);
  }
  if (read.files.size() > kMaxPolicyFiles || bytes > kMaxPolicyBytes) {
    return absl::InvalidArgumentError(absl::StrCat(directory, ": more than ", kMaxPolicyFiles,
                                                   " files or ", kMaxPolicyBytes,
                                                   " bytes of policies"));
  }
  read.bundles.assign(bundles.begin(), bundles.end());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<BundleFiles> ReadBundleFiles(const std::string& directory,
                                            const std::vector<std::string>& required) {
  CAPSTAN_ASSIGN_OR_RETURN(const std::vector<fs::path> entries, List(directory));
  BundleFiles read;
  for (const fs::path& path : entries) {
    std::error_code error;
    if (fs::is_directory(path, error)) {
      CAPSTAN_RETURN_IF_ERROR(ReadBundle(path, read.files));
    } else if (IsRego(path)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path.filename().string(), ": not in the folder of a bundle"));
    }
  }
  CAPSTAN_RETURN_IF_ERROR(Summarize(directory, read));
  for (const std::string& name : required) {
    if (!std::binary_search(read.bundles.begin(), read.bundles.end(), name)) {
      read.missing.push_back(name);
    }
  }
  read.digest = Digest(read, required);
  return read;
}

absl::StatusOr<BundleFiles> ReadConditionFiles(const std::string& directory) {
  std::vector<PolicyFile> files;
  CAPSTAN_RETURN_IF_ERROR(ReadFolder(directory, "", files));
  return ConditionFiles(directory, std::move(files));
}

absl::StatusOr<BundleFiles> ConditionFiles(std::string_view directory,
                                           std::vector<PolicyFile> files) {
  BundleFiles read;
  read.files = std::move(files);
  for (PolicyFile& file : read.files) {
    file.bundle =
        std::string(absl::StripSuffix(file.path, file.is_test() ? "_test.rego" : ".rego"));
    CAPSTAN_RETURN_IF_ERROR(CheckConditionName(file.bundle));
  }
  CAPSTAN_RETURN_IF_ERROR(Summarize(std::string(directory), read));
  read.digest = Digest(read, {});
  return read;
}

std::vector<std::string> MissingBundles(const std::string& directory,
                                        const std::vector<std::string>& required) {
  const auto has_rules = [](const fs::path& bundle) {
    std::error_code error;
    for (fs::directory_iterator it(bundle, error), end; !error && it != end; it.increment(error)) {
      const fs::path& path = it->path();
      std::error_code unreadable;
      if (IsHidden(path) || !IsRego(path) || IsTest(path)) continue;
      if (fs::file_size(path, unreadable) > 0 && !unreadable) return true;
    }
    return false;
  };
  std::vector<std::string> missing;
  for (const std::string& name : required) {
    if (!has_rules(fs::path(directory) / name)) missing.push_back(name);
  }
  return missing;
}

std::string PackageName(std::string_view bundle) {
  return absl::StrReplaceAll(absl::string_view(bundle.data(), bundle.size()), {{"-", "_"}});
}

}  // namespace capstan::policy
