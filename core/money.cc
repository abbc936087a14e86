#include "core/money.h"

#include "absl/strings/str_format.h"

namespace capstan {

std::string Money(std::int64_t microusd) {
  const double usd = static_cast<double>(microusd) / 1e6;
  const bool small = microusd > 0 && microusd < 10'000;
  return small ? absl::StrFormat("$%.4f", usd) : absl::StrFormat("$%.2f", usd);
}

}  // namespace capstan
