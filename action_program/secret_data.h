// Secrets without their values showing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "action_program/host.h"

namespace capstan::action_program {

// Eight hex digits of the SHA-256 of a value (base64, as the API has it); "none" for no value.
// Enough to see that a value changed, too little to check guesses of a good password by.
std::string ValueDigest(const Json* base64_value);

// One line for each key that a change made other, with the digests before and after.
void PrintSecretChanges(Host& host, const Json& before, const Json& after);

// Knows the values that must not be printed and takes them out of the server's words.
class SecretGuard {
 public:
  // Every text in `json` (a Secret's data, a value of a patch) and what it is the base64 of.
  void Learn(const Json& json);

  // The same error without values. What the server says of an invalid request may quote any part
  // of it, so then only the fields it names are left. Errors of our own hold no values and stay as
  // they are.
  absl::Status Clean(const absl::Status& status) const;

 private:
  std::vector<std::string> values_;
};

}  // namespace capstan::action_program
