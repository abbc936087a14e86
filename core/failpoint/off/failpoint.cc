#include "core/failpoint.h"

namespace capstan {

absl::Status HitFailpoint(std::string_view) { return absl::OkStatus(); }

}  // namespace capstan
