// Opaque tokens that a caller hands back: page tokens and watch cursors. A token is a version, what
// it says, and a MAC over both and over what it is for, so that a token is good only for the kind
// of call and the arguments it was made for. The key is derived from the database's identity: every
// server of an installation takes the tokens of the others. Tokens carry no rights.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "core/ids.h"
#include "storage/types.h"

namespace capstan::server {

// Thread-safe.
class TokenMaker {
 public:
  explicit TokenMaker(std::string_view database_id);

  // `purpose` names the call and the arguments that must stay the same.
  std::string Seal(std::string_view purpose, std::string_view body) const;

  // The body, or INVALID_ARGUMENT (no reason attached) when it was not made by Seal with this
  // purpose for this database.
  absl::StatusOr<std::string> Open(std::string_view purpose, std::string_view token) const;

 private:
  std::string key_;
};

// Page tokens. Errors name page_token.
std::string MakeListToken(const TokenMaker& maker, std::string_view filter,
                          const ExecutionId& last);
absl::StatusOr<ExecutionId> ReadListToken(const TokenMaker& maker, std::string_view filter,
                                          std::string_view token);
std::string MakeEventsToken(const TokenMaker& maker, const ExecutionId& id, std::int32_t last);
absl::StatusOr<std::int32_t> ReadEventsToken(const TokenMaker& maker, const ExecutionId& id,
                                             std::string_view token);

}  // namespace capstan::server
