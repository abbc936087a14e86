#include "core/ids.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "core/status_macros.h"

namespace capstan {
namespace {

constexpr char kExecutions[] = "executions/";
constexpr char kWorkers[] = "workers/";

// 48 bits of milliseconds, then a 12 bit counter within the millisecond, then 62 random bits.
class Version7 {
 public:
  std::array<std::uint8_t, 16> Next(absl::Time time) {
    absl::MutexLock lock(&mu_);
    const auto [millis, count] = Tick(absl::ToUnixMillis(time));
    std::array<std::uint8_t, 16> bytes;
    Random(bytes.data() + 8);
    for (int i = 0; i < 6; ++i) bytes[i] = static_cast<std::uint8_t>(millis >> (8 * (5 - i)));
    bytes[6] = static_cast<std::uint8_t>(0x70 | (count >> 8));
    bytes[7] = static_cast<std::uint8_t>(count & 0xff);
    bytes[8] = static_cast<std::uint8_t>(0x80 | (bytes[8] & 0x3f));
    return bytes;
  }

 private:
  std::pair<std::int64_t, int> Tick(std::int64_t millis) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (millis > last_millis_) {
      last_millis_ = millis;
      count_ = 0;
    } else if (++count_ > 0xfff) {  // more than 4,096 in a millisecond, or the clock stands still:
                                    // borrow the next one
      ++last_millis_;
      count_ = 0;
    }
    return {last_millis_, count_};
  }

  // 8 bytes, drawn many at a time: each draw has a price of its own.
  void Random(std::uint8_t* to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    if (used_ == pool_.size()) {
      CAPSTAN_CHECK(RAND_bytes(pool_.data(), pool_.size()) == 1);
      used_ = 0;
    }
    std::copy_n(pool_.data() + used_, 8, to);
    used_ += 8;
  }

  absl::Mutex mu_;
  std::array<std::uint8_t, 1024> pool_ ABSL_GUARDED_BY(mu_);
  std::size_t used_ ABSL_GUARDED_BY(mu_) = 1024;
  std::int64_t last_millis_ ABSL_GUARDED_BY(mu_) = 0;
  int count_ ABSL_GUARDED_BY(mu_) = 0;
};

std::string Hex(const std::array<std::uint8_t, 16>& bytes) {
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

std::string Dashed(const std::array<std::uint8_t, 16>& bytes) {
  const std::string hex = Hex(bytes);
  const absl::string_view h = hex;
  return absl::StrCat(h.substr(0, 8), "-", h.substr(8, 4), "-", h.substr(12, 4), "-",
                      h.substr(16, 4), "-", h.substr(20));
}

}  // namespace

template <class Tag>
Uuid<Tag> Uuid<Tag>::Make(absl::Time time) {
  static Version7* generator = new Version7;
  return Uuid(generator->Next(time));
}

template <class Tag>
std::optional<Uuid<Tag>> Uuid<Tag>::Parse(std::string_view text) {
  if (text.size() != 36) return std::nullopt;
  std::string hex;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash != (text[i] == '-')) return std::nullopt;
    if (dash) continue;
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(text[i]))) return std::nullopt;
    hex.push_back(text[i]);
  }
  const std::string raw = absl::HexStringToBytes(hex);
  Bytes bytes;
  std::copy(raw.begin(), raw.end(), bytes.begin());
  return Uuid(bytes);
}

template <class Tag>
std::string Uuid<Tag>::ToString() const {
  return Dashed(bytes_);
}

template <class Tag>
std::string Uuid<Tag>::ToHex() const {
  return Hex(bytes_);
}

template <class Tag>
absl::Time Uuid<Tag>::time() const {
  std::int64_t millis = 0;
  for (int i = 0; i < 6; ++i) millis = (millis << 8) | bytes_[i];
  return absl::FromUnixMillis(millis);
}

template class Uuid<ExecutionTag>;
template class Uuid<WorkerTag>;
template class Uuid<AuditChainTag>;

std::string ExecutionName(const ExecutionId& id) {
  return absl::StrCat(kExecutions, id.ToString());
}

std::optional<ExecutionId> ParseExecutionName(std::string_view name) {
  constexpr std::string_view kPrefix = kExecutions;
  if (name.substr(0, kPrefix.size()) != kPrefix) return std::nullopt;
  return ExecutionId::Parse(name.substr(kPrefix.size()));
}

std::string WorkerName(const WorkerId& id) { return absl::StrCat(kWorkers, id.ToString()); }

std::string RandomUuid() {
  std::array<std::uint8_t, 16> bytes;
  CAPSTAN_CHECK(RAND_bytes(bytes.data(), bytes.size()) == 1);
  bytes[6] = static_cast<std::uint8_t>(0x40 | (bytes[6] & 0x0f));
  bytes[8] = static_cast<std::uint8_t>(0x80 | (bytes[8] & 0x3f));
  return Dashed(bytes);
}

std::string Sha256(std::string_view bytes) {
  // Fetched once: looking the algorithm up takes longer than hashing a short text.
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  CAPSTAN_CHECK(EVP_Digest(bytes.data(), bytes.size(),
                           reinterpret_cast<unsigned char*>(digest.data()), nullptr, algorithm,
                           nullptr) == 1);
  return digest;
}

std::string Sha256Hex(std::string_view bytes) { return absl::BytesToHexString(Sha256(bytes)); }

}  // namespace capstan
