#include "core/catalog/runner_images.h"

#include <algorithm>

#include "absl/strings/ascii.h"

#include "core/catalog/dns_name.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

constexpr std::string_view kDefaultKubectlImage = "registry.k8s.io/kubectl:v1.34.4";
constexpr size_t kMaxImageBytes = 512;
constexpr size_t kSha256HexBytes = 64;

bool IsReferenceText(std::string_view image) {
  return !image.empty() && image.size() <= kMaxImageBytes && absl::ascii_isalnum(image[0]) &&
         std::all_of(image.begin(), image.end(), [](char c) {
           return absl::ascii_isalnum(c) ||
                  std::string_view("._-/:@").find(c) != std::string_view::npos;
         });
}

bool IsPinned(std::string_view image) {
  if (size_t at = image.find("@sha256:"); at != image.npos) {
    std::string_view digest = image.substr(at + 8);
    return digest.size() == kSha256HexBytes &&
           std::all_of(digest.begin(), digest.end(),
                       [](char c) { return absl::ascii_isxdigit(c); });
  }
  size_t colon = image.rfind(':');
  if (colon == image.npos || image.find('/', colon) != image.npos) return false;  // a port
  std::string_view tag = image.substr(colon + 1);
  return !tag.empty() && tag != "latest";
}

}  // namespace

RunnerImages DefaultRunnerImages() { return {{"kubectl", std::string(kDefaultKubectlImage)}}; }

absl::Status ValidateRunnerImage(std::string_view alias, std::string_view image) {
  if (!IsDnsLabel(alias)) {
    return absl::InvalidArgumentError(
        Cat("runner image: got the alias \"", alias, "\", want a DNS label such as kubectl"));
  }
  if (!IsReferenceText(image) || !IsPinned(image)) {
    return absl::InvalidArgumentError(
        Cat("runner image ", alias, ": got \"", image,
            "\", want an image with a digest or a tag other than latest"));
  }
  return absl::OkStatus();
}

}  // namespace capstan::catalog
