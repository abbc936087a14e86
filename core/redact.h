// Takes secrets out of text that is kept or shown: values that are known to be secret, and what
// looks like a credential of a common kind (keys of model providers and clouds, tokens of forges
// and chats, JSON web tokens, private keys).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace capstan {

inline constexpr std::string_view kRedacted = "[redacted]";

// Thread-safe.
class Redactor {
 public:
  // Values shorter than 6 bytes are left alone: they would blot out ordinary words.
  explicit Redactor(std::vector<std::string> secrets = {});

  std::string Redact(std::string_view text) const;

  // How much of a text that goes on can be redacted already: what is before a private key whose end
  // has not come.
  static std::size_t Whole(std::string_view text);

 private:
  std::vector<std::string> secrets_;  // longest first
};

}  // namespace capstan
