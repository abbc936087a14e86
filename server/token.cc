#include "server/token.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "core/status_macros.h"
#include "core/text.h"
#include "server/errors.h"

namespace capstan::server {
namespace {

constexpr char kVersion = 1;
constexpr std::size_t kMacBytes = 16;

std::string Mac(std::string_view key, std::string_view purpose, std::string_view body) {
  // The length keeps purpose and body apart.
  const std::string text = Cat(purpose.size(), ":", std::string(purpose), std::string(body));
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest, &size);
  return std::string(reinterpret_cast<const char*>(digest), kMacBytes);
}

std::string ListPurpose(std::string_view filter) {
  return Cat("ListExecutions ", std::string(filter));
}

std::string EventsPurpose(const ExecutionId& id) { return Cat("ListEvents ", id.ToString()); }

absl::Status BadPageToken() {
  return InvalidField("page_token",
                      "got a token of another call, want next_page_token of the call before with "
                      "the other arguments unchanged",
                      "INVALID_PAGE_TOKEN");
}

}  // namespace

TokenMaker::TokenMaker(std::string_view database_id)
    : key_(Sha256(Cat("capstan token ", std::string(database_id)))) {}

std::string TokenMaker::Seal(std::string_view purpose, std::string_view body) const {
  std::string token(1, kVersion);
  token.append(body);
  token.append(Mac(key_, purpose, token));
  return absl::WebSafeBase64Escape(token);
}

absl::StatusOr<std::string> TokenMaker::Open(std::string_view purpose,
                                             std::string_view token) const {
  const absl::Status bad = absl::InvalidArgumentError("not a token of this call");
  std::string raw;
  if (!absl::WebSafeBase64Unescape(std::string(token), &raw)) return bad;
  if (raw.size() < 1 + kMacBytes || raw[0] != kVersion) return bad;
  const std::string sealed = raw.substr(0, raw.size() - kMacBytes);
  const std::string mac = Mac(key_, purpose, sealed);
  if (CRYPTO_memcmp(mac.data(), raw.data() + sealed.size(), kMacBytes) != 0) return bad;
  return sealed.substr(1);
}

std::string MakeListToken(const TokenMaker& maker, std::string_view filter,
                          const ExecutionId& last) {
  return maker.Seal(ListPurpose(filter), last.ToString());
}

absl::StatusOr<ExecutionId> ReadListToken(const TokenMaker& maker, std::string_view filter,
                                          std::string_view token) {
  const absl::StatusOr<std::string> body = maker.Open(ListPurpose(filter), token);
  if (!body.ok()) return BadPageToken();
  const std::optional<ExecutionId> id = ExecutionId::Parse(*body);
  if (!id) return BadPageToken();
  return *id;
}

std::string MakeEventsToken(const TokenMaker& maker, const ExecutionId& id, std::int32_t last) {
  return maker.Seal(EventsPurpose(id), Cat(last));
}

absl::StatusOr<std::int32_t> ReadEventsToken(const TokenMaker& maker, const ExecutionId& id,
                                             std::string_view token) {
  const absl::StatusOr<std::string> body = maker.Open(EventsPurpose(id), token);
  if (!body.ok()) return BadPageToken();
  std::int32_t last = 0;
  if (!absl::SimpleAtoi(*body, &last) || last < 0) return BadPageToken();
  return last;
}

}  // namespace capstan::server
