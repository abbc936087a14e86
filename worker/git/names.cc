#include "worker/git/names.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "core/text.h"

namespace capstan::git {
namespace {

constexpr size_t kLongestId = 64;
constexpr size_t kLongestRef = 200;
constexpr size_t kLongestPath = 1024;

bool AllOf(std::string_view text, bool (*allowed)(unsigned char)) {
  return std::all_of(text.begin(), text.end(),
                     [allowed](char c) { return allowed(static_cast<unsigned char>(c)); });
}

bool InId(unsigned char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-'; }

bool InRef(unsigned char c) {
  return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '/' || c == '-';
}

bool Printable(unsigned char c) { return c >= ' ' && c != 0x7f; }

absl::Status Invalid(std::string_view field, std::string_view got, std::string_view want) {
  return absl::InvalidArgumentError(Cat(
      field, ": got '", absl::CHexEscape(AbslView(got.substr(0, kLongestRef))), "', want ", want));
}

}  // namespace

absl::Status CheckId(std::string_view id) {
  if (!id.empty() && id.size() <= kLongestId && id[0] != '-' && AllOf(id, InId))
    return absl::OkStatus();
  return Invalid("execution id", id, "lower-case letters, digits and '-'");
}

absl::Status CheckRef(std::string_view ref) {
  const absl::string_view text = AbslView(ref);
  const bool good = !ref.empty() && ref.size() <= kLongestRef && AllOf(ref, InRef) &&
                    absl::ascii_isalnum(static_cast<unsigned char>(ref[0])) &&
                    !absl::StrContains(text, "..") && !absl::StrContains(text, "//") &&
                    !absl::StrContains(text, "/.") && !absl::EndsWith(text, "/") &&
                    !absl::EndsWith(text, ".") && !absl::EndsWith(text, ".lock");
  return good ? absl::OkStatus() : Invalid("base ref", ref, "the name of a branch, tag or commit");
}

absl::Status CheckBranch(std::string_view branch) {
  const bool good = CheckRef(branch).ok() && branch != "HEAD" && !IsCommitId(branch) &&
                    !branch.starts_with("refs/");
  return good ? absl::OkStatus() : Invalid("branch", branch, "the name of a branch");
}

bool IsCommitId(std::string_view text) {
  return (text.size() == 40 || text.size() == 64) && AllOf(text, [](unsigned char c) {
           return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

absl::Status CheckPath(std::string_view field, std::string_view path) {
  const std::vector<std::string> parts = absl::StrSplit(AbslView(path), '/', absl::SkipEmpty());
  const bool good = path.size() <= kLongestPath && path.starts_with('/') && !parts.empty() &&
                    AllOf(path, Printable) && std::count(parts.begin(), parts.end(), "..") == 0 &&
                    std::count(parts.begin(), parts.end(), ".") == 0;
  return good ? absl::OkStatus() : Invalid(field, path, "an absolute path without . and ..");
}

}  // namespace capstan::git
