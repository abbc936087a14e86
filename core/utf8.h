// Text from outside, made fit for JSON, Postgres and protobuf strings.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace capstan {

// Valid UTF-8 without NUL: each byte that does not fit is replaced by U+FFFD.
std::string MendUtf8(std::string_view text);

// The end, or the beginning, of a text: at most `bytes`, cut between characters. `text` is UTF-8.
std::string_view Tail(std::string_view text, std::size_t bytes);
std::string_view Head(std::string_view text, std::size_t bytes);

}  // namespace capstan
