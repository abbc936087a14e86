// The Abseil we build against has a string_view of its own that std::string_view does not turn
// into. These two take both.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace capstan::kubernetes {

inline absl::string_view AbslView(std::string_view text) { return {text.data(), text.size()}; }

template <class T>
decltype(auto) TextPiece(const T& piece) {
  if constexpr (std::is_same_v<T, std::string_view>) {
    return AbslView(piece);
  } else {
    return (piece);
  }
}

// absl::StrCat and absl::StrAppend.
template <class... Pieces>
std::string StrCat(const Pieces&... pieces) {
  return absl::StrCat(TextPiece(pieces)...);
}
template <class... Pieces>
void StrAppend(std::string* text, const Pieces&... pieces) {
  absl::StrAppend(text, TextPiece(pieces)...);
}

}  // namespace capstan::kubernetes
