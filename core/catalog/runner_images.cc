#include "core/catalog/runner_images.h"

#include "core/catalog/dns_name.h"
#include "core/catalog/image_reference.h"
#include "core/text.h"

namespace capstan::catalog {
namespace {

constexpr std::string_view kDefaultKubectlImage = "registry.k8s.io/kubectl:v1.34.4";
constexpr std::string_view kDefaultActionImage = "registry.capstan.dev/capstan-action:v0.1.0";

}  // namespace

RunnerImages DefaultRunnerImages() {
  return {{"kubectl", std::string(kDefaultKubectlImage)},
          {"capstan-action", std::string(kDefaultActionImage)}};
}

absl::Status ValidateRunnerImage(std::string_view alias, std::string_view image) {
  if (!IsDnsLabel(alias)) {
    return absl::InvalidArgumentError(
        Cat("runner image: got the alias \"", alias, "\", want a DNS label such as kubectl"));
  }
  if (!CheckImageReference(image).ok()) {
    return absl::InvalidArgumentError(
        Cat("runner image ", alias, ": got \"", image,
            "\", want an image with a digest or a tag other than latest"));
  }
  return absl::OkStatus();
}

}  // namespace capstan::catalog
