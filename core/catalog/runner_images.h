// The container images that actions run in. A catalog file names an alias, configuration says which
// image it is.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace capstan::catalog {

using RunnerImages = std::map<std::string, std::string>;  // alias -> image

// What is used where configuration says nothing.
RunnerImages DefaultRunnerImages();

// INVALID_ARGUMENT unless the image is pinned: a digest, or a tag other than latest. Otherwise two
// runs of one action could be two different programs.
absl::Status ValidateRunnerImage(std::string_view alias, std::string_view image);

}  // namespace capstan::catalog
