// What the worker and a supervisor tell each other. The order lies in a memory file, so that
// nothing of it is in anybody's arguments or environment; the report comes through a pipe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/process/process.h"

namespace capstan::process {

// The file descriptors that a supervisor is started with, besides 0, 1 and 2, which its child gets.
inline constexpr int kOrderFd = 3;    // an encoded Order, to the end of the file
inline constexpr int kControlFd = 4;  // to read kStop, kKill and kAlive; its end means kKill
inline constexpr int kReportFd = 5;   // write end; an encoded Result, then the end

inline constexpr char kStop = 'S';   // SIGTERM to the first process, all are killed after the grace
inline constexpr char kKill = 'K';   // all are killed at once
inline constexpr char kAlive = 'A';  // the worker is there; a few within each Order.silence

struct Order {
  Spec spec;  // without `input`, which is file descriptor 0
  absl::Duration grace;
  absl::Duration silence;  // as Options::silence
  std::uint32_t user = 0;
  std::uint32_t group = 0;
  std::string cgroup;  // as Options::cgroup
};

// Decoding: INVALID_ARGUMENT when the bytes are not of this version or are cut off.
std::string Encode(const Order& order);
absl::StatusOr<Order> DecodeOrder(std::string_view bytes);
std::string Encode(const Result& result);
absl::StatusOr<Result> DecodeResult(std::string_view bytes);

}  // namespace capstan::process
