#include "core/catalog/image_reference.h"

#include <algorithm>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

constexpr size_t kMaxTagBytes = 128;
constexpr size_t kSha256HexBytes = 64;
constexpr std::string_view kDigestPrefix = "sha256:";

bool IsLowerOrDigit(char c) { return absl::ascii_islower(c) || absl::ascii_isdigit(c); }

// One part of the path: small letters and digits, separated by ".", "_", "__" or dashes.
bool IsPathPart(std::string_view part) {
  if (part.empty() || !IsLowerOrDigit(part.front()) || !IsLowerOrDigit(part.back())) return false;
  for (size_t i = 0; i < part.size(); ++i) {
    if (IsLowerOrDigit(part[i])) continue;
    size_t end = i;
    while (!IsLowerOrDigit(part[end])) ++end;  // the last character is one
    const std::string_view separator = part.substr(i, end - i);
    const bool dashes =
        std::all_of(separator.begin(), separator.end(), [](char c) { return c == '-'; });
    if (!dashes && separator != "." && separator != "_" && separator != "__") return false;
    i = end;
  }
  return true;
}

// host or host:port; what tells it from a path is a dot, a port, or "localhost".
bool IsRegistry(std::string_view text) {
  const size_t colon = text.find(':');
  const std::string_view host = text.substr(0, colon);
  if (colon == std::string_view::npos && host != "localhost" &&
      host.find('.') == std::string_view::npos) {
    return false;
  }
  for (absl::string_view label : absl::StrSplit(AbslView(host), '.')) {
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    if (!std::all_of(label.begin(), label.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '-'; })) {
      return false;
    }
  }
  if (colon == std::string_view::npos) return true;
  const std::string_view port = text.substr(colon + 1);
  return !port.empty() && port.size() <= 5 &&
         std::all_of(port.begin(), port.end(), [](char c) { return absl::ascii_isdigit(c); });
}

bool IsName(std::string_view name) {
  std::vector<absl::string_view> parts = absl::StrSplit(AbslView(name), '/');
  if (parts.size() > 1 && IsRegistry({parts[0].data(), parts[0].size()}))
    parts.erase(parts.begin());
  return std::all_of(parts.begin(), parts.end(),
                     [](absl::string_view part) { return IsPathPart({part.data(), part.size()}); });
}

bool IsTag(std::string_view tag) {
  return !tag.empty() && tag.size() <= kMaxTagBytes && tag.front() != '.' && tag.front() != '-' &&
         std::all_of(tag.begin(), tag.end(), [](char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-';
         });
}

bool IsDigest(std::string_view digest) {
  if (digest.substr(0, kDigestPrefix.size()) != kDigestPrefix) return false;
  digest.remove_prefix(kDigestPrefix.size());
  return digest.size() == kSha256HexBytes && std::all_of(digest.begin(), digest.end(), [](char c) {
           return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

absl::Status CheckImageReference(std::string_view image) {
  const absl::Status bad = absl::InvalidArgumentError("it is not an image reference");
  if (image.size() > kMaxImageBytes) return bad;
  std::string_view rest = image;
  const size_t at = rest.find('@');
  if (at != std::string_view::npos) {
    if (!IsDigest(rest.substr(at + 1))) return bad;
    rest = rest.substr(0, at);
  }
  std::string_view tag;
  const size_t colon = rest.rfind(':');
  const size_t slash = rest.rfind('/');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    tag = rest.substr(colon + 1);
    if (!IsTag(tag)) return bad;
    rest = rest.substr(0, colon);
  }
  if (!IsName(rest)) return bad;
  if (tag.empty() && at == std::string_view::npos) {
    return absl::InvalidArgumentError("it has neither a tag nor a digest");
  }
  if (tag == "latest") return absl::InvalidArgumentError("its tag is latest");
  return absl::OkStatus();
}

}  // namespace capstan::catalog
