// References of container images: [registry/]path[:tag][@sha256:digest].
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace capstan::catalog {

inline constexpr size_t kMaxImageBytes = 512;

// INVALID_ARGUMENT says what is wrong: it is not a reference, it has neither a tag nor a digest
// (what runs would be decided elsewhere, and change), or its tag is latest.
absl::Status CheckImageReference(std::string_view image);

}  // namespace capstan::catalog
