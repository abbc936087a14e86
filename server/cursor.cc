#include "server/cursor.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <cstring>

#include "absl/strings/escaping.h"
#include "core/text.h"
#include "server/errors.h"

namespace capstan::server {
namespace {

using google::protobuf::io::ArrayInputStream;
using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;
using google::protobuf::io::StringOutputStream;

constexpr std::size_t kFingerprintChars = 8;  // six bytes in base64
constexpr std::size_t kIdBytes = 16;

// Tells cursors of other databases from garbled ones.
std::string Fingerprint(std::string_view database_id) {
  return absl::WebSafeBase64Escape(Sha256(database_id).substr(0, 6));
}

std::string Purpose(std::string_view filter) {
  return Cat("WatchExecutions ", std::string(filter));
}

std::string Encode(const WatchCursor& cursor) {
  std::string bytes;
  StringOutputStream stream(&bytes);
  CodedOutputStream out(&stream);
  out.WriteVarint64(cursor.position.xid);
  out.WriteVarint64(static_cast<std::uint64_t>(cursor.position.position));
  out.WriteVarint32(cursor.scanned.has_value());
  if (cursor.scanned) out.WriteRaw(cursor.scanned->bytes().data(), kIdBytes);
  out.WriteVarint32(static_cast<std::uint32_t>(cursor.followed.size()));
  for (const WatchCursor::Followed& followed : cursor.followed) {
    out.WriteLittleEndian64(followed.execution);
    out.WriteVarint32(static_cast<std::uint32_t>(followed.seq) * 2 + followed.ended);
  }
  out.Trim();
  return bytes;
}

bool Decode(std::string_view bytes, WatchCursor& cursor) {
  ArrayInputStream stream(bytes.data(), static_cast<int>(bytes.size()));
  CodedInputStream in(&stream);
  std::uint64_t position = 0;
  std::uint32_t scanning = 0;
  std::uint32_t count = 0;
  if (!in.ReadVarint64(&cursor.position.xid) || !in.ReadVarint64(&position) ||
      !in.ReadVarint32(&scanning)) {
    return false;
  }
  cursor.position.position = static_cast<std::int64_t>(position);
  if (scanning != 0) {
    ExecutionId::Bytes id;
    if (!in.ReadRaw(id.data(), kIdBytes)) return false;
    cursor.scanned = ExecutionId(id);
  }
  if (!in.ReadVarint32(&count)) return false;
  for (std::uint32_t i = 0; i < count; ++i) {
    WatchCursor::Followed followed;
    std::uint32_t seq = 0;
    if (!in.ReadLittleEndian64(&followed.execution) || !in.ReadVarint32(&seq)) return false;
    followed.seq = static_cast<std::int32_t>(seq / 2);
    followed.ended = seq % 2 == 1;
    cursor.followed.push_back(followed);
  }
  return true;
}

absl::Status BadCursor() {
  return InvalidField("cursor",
                      "got a text that is not a cursor of this filter, want one from a message of "
                      "WatchExecutions with the same filter",
                      "INVALID_CURSOR");
}

}  // namespace

ExecutionHash HashOf(const ExecutionId& id) {
  const std::string digest =
      Sha256({reinterpret_cast<const char*>(id.bytes().data()), id.bytes().size()});
  ExecutionHash hash = 0;
  std::memcpy(&hash, digest.data(), sizeof(hash));
  return hash;
}

std::string MakeCursor(const TokenMaker& maker, std::string_view database_id,
                       std::string_view filter, const WatchCursor& cursor) {
  return Cat(Fingerprint(database_id), maker.Seal(Purpose(filter), Encode(cursor)));
}

absl::StatusOr<WatchCursor> ReadCursor(const TokenMaker& maker, std::string_view database_id,
                                       std::string_view filter, std::string_view text) {
  std::string raw;
  if (text.size() <= kFingerprintChars ||
      !absl::WebSafeBase64Unescape(std::string(text.substr(0, kFingerprintChars)), &raw)) {
    return BadCursor();
  }
  if (text.substr(0, kFingerprintChars) != Fingerprint(database_id)) {
    return Error(absl::StatusCode::kOutOfRange, "CURSOR_FOREIGN",
                 "cursor: got one of another database or of its past, want none: start again");
  }
  const absl::StatusOr<std::string> body =
      maker.Open(Purpose(filter), text.substr(kFingerprintChars));
  WatchCursor cursor;
  if (!body.ok() || !Decode(*body, cursor)) return BadCursor();
  return cursor;
}

}  // namespace capstan::server
