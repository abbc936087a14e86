// Parameters of a prepared statement in Postgres' binary format. The statement casts every
// parameter ($1::uuid[]), so the C++ type given here must be the one of the cast: std::int16_t
// smallint, std::int32_t int, std::int64_t bigint.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/ids.h"

namespace capstan::storage {

// Element types of arrays: Postgres' object ids.
enum class Element : std::uint32_t {
  kBool = 16,
  kBytes = 17,
  kInt8 = 20,
  kInt2 = 21,
  kInt4 = 23,
  kText = 25,
  kUuid = 2950,
};

// A one-dimensional array.
class Array {
 public:
  Array(Element element, std::size_t expected_bytes);

  void AddNull();
  void Add(bool value);
  void Add(std::int16_t value);
  void Add(std::int32_t value);
  void Add(std::int64_t value);
  void Add(std::string_view value);  // text or bytea
  void Add(const std::string& value) { Add(std::string_view(value)); }
  void Add(const char* value) = delete;
  template <class Tag>
  void Add(const Uuid<Tag>& value) {
    AddRaw(value.bytes().data(), value.bytes().size());
  }

  // The wire format; the array is used up.
  std::string Take() &&;

 private:
  void AddRaw(const void* data, std::size_t size);

  std::string bytes_;
  std::int32_t count_ = 0;
  bool has_null_ = false;
};

class Params {
 public:
  Params& Null();
  Params& Add(bool value);
  Params& Add(std::int16_t value);
  Params& Add(std::int32_t value);
  Params& Add(std::int64_t value);
  Params& Add(std::string_view value);  // text or bytea
  Params& Add(const std::string& value) { return Add(std::string_view(value)); }
  Params& Add(const char* value) { return Add(std::string_view(value)); }
  Params& Add(Array array);
  template <class Tag>
  Params& Add(const Uuid<Tag>& value) {
    return Add(std::string_view(reinterpret_cast<const char*>(value.bytes().data()),
                                value.bytes().size()));
  }

  std::size_t size() const { return values_.size(); }
  bool is_null(std::size_t i) const { return nulls_[i]; }
  const std::string& value(std::size_t i) const { return values_[i]; }

 private:
  std::vector<std::string> values_;
  std::vector<bool> nulls_;
};

}  // namespace capstan::storage
