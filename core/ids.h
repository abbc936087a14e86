// Identifiers as types: they do not mix and they print themselves.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

#include "absl/time/time.h"

namespace capstan {

// A UUID of one kind of thing. Ordered by its bytes, which for version 7 is by creation time
// (millisecond).
template <class Tag>
class Uuid {
 public:
  using Bytes = std::array<std::uint8_t, 16>;

  Uuid() = default;  // all zero: "none"
  explicit Uuid(const Bytes& bytes) : bytes_(bytes) {}

  // A new version 7 UUID whose time is `time`. Thread-safe; strictly increasing within one process
  // and millisecond.
  static Uuid Make(absl::Time time);

  // Parses the canonical 36 character form, any case. nullopt for anything else.
  static std::optional<Uuid> Parse(std::string_view text);

  // 8-4-4-4-12, lower case.
  std::string ToString() const;
  // 32 hex digits without dashes.
  std::string ToHex() const;

  const Bytes& bytes() const { return bytes_; }
  bool IsNone() const { return *this == Uuid(); }
  // The time in a version 7 UUID, to the millisecond.
  absl::Time time() const;

  friend auto operator<=>(const Uuid&, const Uuid&) = default;
  template <class H>
  friend H AbslHashValue(H h, const Uuid& id) {
    return H::combine(std::move(h), id.bytes_);
  }
  friend std::ostream& operator<<(std::ostream& out, const Uuid& id) {
    return out << id.ToString();
  }

 private:
  Bytes bytes_{};
};

struct ExecutionTag {};
struct WorkerTag {};
struct AuditChainTag {};
using ExecutionId = Uuid<ExecutionTag>;
using WorkerId = Uuid<WorkerTag>;          // new with each process
using AuditChainId = Uuid<AuditChainTag>;  // one writer's part of the audit log

// "executions/{uuid}" and back; nullopt when it is anything else.
std::string ExecutionName(const ExecutionId& id);
std::optional<ExecutionId> ParseExecutionName(std::string_view name);
std::string WorkerName(const WorkerId& id);

// A random version 4 UUID as text, for request ids.
std::string RandomUuid();

// SHA-256, as 32 raw bytes and as 64 hex digits.
std::string Sha256(std::string_view bytes);
std::string Sha256Hex(std::string_view bytes);

}  // namespace capstan
