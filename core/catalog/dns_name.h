// Names as Kubernetes accepts them (RFC 1123).
#pragma once

#include <cstddef>
#include <string_view>

namespace capstan::catalog {

inline constexpr size_t kMaxDnsLabel = 63;
inline constexpr size_t kMaxDnsSubdomain = 253;

// 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit.
bool IsDnsLabel(std::string_view text);

// Labels joined by '.', at most 253 characters.
bool IsDnsSubdomain(std::string_view text);

}  // namespace capstan::catalog
