// Joins pieces of text. The Abseil of Debian 12 has a string_view of its own, which does not take a
// std::string_view: Cat and Append are absl::StrCat and absl::StrAppend for both.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace capstan {

// For Abseil's functions; lives as long as `text` does.
inline absl::string_view AbslView(std::string_view text) { return {text.data(), text.size()}; }

namespace text_internal {

template <class T>
decltype(auto) Piece(const T& value) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return AbslView(value);
  } else {
    return (value);
  }
}

}  // namespace text_internal

// Cat("got ", number, ", want ", name).
template <class... Pieces>
std::string Cat(const Pieces&... pieces) {
  return absl::StrCat(text_internal::Piece(pieces)...);
}

template <class... Pieces>
void Append(std::string* text, const Pieces&... pieces) {
  absl::StrAppend(text, text_internal::Piece(pieces)...);
}

}  // namespace capstan
