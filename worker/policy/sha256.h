// SHA-256 as lower-case hex: bundle digests and input hashes.
#pragma once

#include <string>
#include <string_view>

namespace capstan::policy {

std::string Sha256Hex(std::string_view bytes);

}  // namespace capstan::policy
