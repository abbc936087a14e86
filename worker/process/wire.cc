#include "worker/process/wire.h"

#include <cstring>

#include "absl/status/status.h"

namespace capstan::process {
namespace {

constexpr std::int64_t kVersion = 1;

class Writer {
 public:
  void Number(std::int64_t value) {
    char bytes[sizeof(value)];
    std::memcpy(bytes, &value, sizeof(value));
    out_.append(bytes, sizeof(bytes));
  }
  void Real(double value) {
    std::int64_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    Number(bits);
  }
  void Text(std::string_view text) {
    Number(static_cast<std::int64_t>(text.size()));
    out_.append(text);
  }
  void Texts(const std::vector<std::string>& texts) {
    Number(static_cast<std::int64_t>(texts.size()));
    for (const std::string& text : texts) Text(text);
  }
  void Map(const std::map<std::string, std::string>& map) {
    Number(static_cast<std::int64_t>(map.size()));
    for (const auto& [key, value] : map) {
      Text(key);
      Text(value);
    }
  }
  std::string Take() { return std::move(out_); }

 private:
  std::string out_;
};

// After bytes that do not fit everything it reads is empty, and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view in) : in_(in) {}

  std::int64_t Number() {
    std::int64_t value = 0;
    const std::string_view bytes = Bytes(sizeof(value));
    if (ok_) std::memcpy(&value, bytes.data(), sizeof(value));
    return value;
  }
  double Real() {
    const std::int64_t bits = Number();
    double value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
  }
  std::string Text() { return std::string(Bytes(static_cast<size_t>(Number()))); }
  std::vector<std::string> Texts() {
    std::vector<std::string> texts;
    for (std::int64_t left = Number(); left > 0 && ok_; --left) texts.push_back(Text());
    return texts;
  }
  std::map<std::string, std::string> Map() {
    std::map<std::string, std::string> map;
    for (std::int64_t left = Number(); left > 0 && ok_; --left) {
      std::string key = Text();
      map[std::move(key)] = Text();
    }
    return map;
  }
  bool ok() const { return ok_; }
  bool AtEnd() const { return ok_ && in_.empty(); }

 private:
  std::string_view Bytes(size_t count) {
    if (!ok_ || count > in_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view bytes = in_.substr(0, count);
    in_.remove_prefix(count);
    return bytes;
  }

  std::string_view in_;
  bool ok_ = true;
};

}  // namespace

std::string Encode(const Order& order) {
  Writer out;
  out.Number(kVersion);
  out.Number(absl::ToInt64Nanoseconds(order.grace));
  out.Number(absl::ToInt64Nanoseconds(order.silence));
  out.Number(order.user);
  out.Number(order.group);
  out.Text(order.cgroup);
  const Spec& spec = order.spec;
  out.Texts(spec.argv);
  out.Text(spec.directory);
  out.Map(spec.environment);
  out.Map(spec.secret_files);
  out.Number(absl::ToInt64Nanoseconds(spec.limits.timeout));
  out.Number(spec.limits.memory_bytes);
  out.Number(spec.limits.max_processes);
  out.Real(spec.limits.cpus);
  out.Number(spec.limits.output_bytes);
  out.Number(spec.limits.file_bytes);
  out.Number(spec.sandbox.enabled);
  out.Texts(spec.sandbox.writable);
  out.Texts(spec.sandbox.readable);
  out.Number(spec.sandbox.network);
  return out.Take();
}

absl::StatusOr<Order> DecodeOrder(std::string_view bytes) {
  Reader in(bytes);
  if (in.Number() != kVersion) return absl::InvalidArgumentError("order: of another version");
  Order order;
  order.grace = absl::Nanoseconds(in.Number());
  order.silence = absl::Nanoseconds(in.Number());
  order.user = static_cast<std::uint32_t>(in.Number());
  order.group = static_cast<std::uint32_t>(in.Number());
  order.cgroup = in.Text();
  Spec& spec = order.spec;
  spec.argv = in.Texts();
  spec.directory = in.Text();
  spec.environment = in.Map();
  spec.secret_files = in.Map();
  spec.limits.timeout = absl::Nanoseconds(in.Number());
  spec.limits.memory_bytes = in.Number();
  spec.limits.max_processes = static_cast<int>(in.Number());
  spec.limits.cpus = in.Real();
  spec.limits.output_bytes = in.Number();
  spec.limits.file_bytes = in.Number();
  spec.sandbox.enabled = in.Number() != 0;
  spec.sandbox.writable = in.Texts();
  spec.sandbox.readable = in.Texts();
  spec.sandbox.network = in.Number() != 0;
  if (!in.AtEnd()) return absl::InvalidArgumentError("order: cut off");
  return order;
}

std::string Encode(const Result& result) {
  Writer out;
  out.Number(kVersion);
  out.Number(static_cast<std::int64_t>(result.end));
  out.Number(result.exit_code);
  out.Number(result.signal);
  out.Text(result.message);
  out.Number(result.peak_memory_bytes);
  out.Number(static_cast<std::int64_t>(result.orphans.size()));
  for (const Orphan& orphan : result.orphans) {
    out.Number(orphan.pid);
    out.Text(orphan.command);
  }
  out.Number(absl::ToInt64Nanoseconds(result.took));
  return out.Take();
}

absl::StatusOr<Result> DecodeResult(std::string_view bytes) {
  Reader in(bytes);
  if (in.Number() != kVersion) return absl::InvalidArgumentError("report: of another version");
  Result result;
  result.end = static_cast<Result::End>(in.Number());
  result.exit_code = static_cast<int>(in.Number());
  result.signal = static_cast<int>(in.Number());
  result.message = in.Text();
  result.peak_memory_bytes = in.Number();
  for (std::int64_t left = in.Number(); left > 0 && in.ok(); --left) {
    Orphan orphan;
    orphan.pid = static_cast<int>(in.Number());
    orphan.command = in.Text();
    result.orphans.push_back(std::move(orphan));
  }
  result.took = absl::Nanoseconds(in.Number());
  if (!in.AtEnd()) return absl::InvalidArgumentError("report: cut off");
  return result;
}

}  // namespace capstan::process
