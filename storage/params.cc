#include "storage/params.h"

#include <utility>

namespace capstan::storage {
namespace {

template <class Int>
std::string BigEndian(Int value) {
  std::string bytes(sizeof(Int), '\0');
  auto rest = static_cast<std::make_unsigned_t<Int>>(value);
  for (std::size_t i = sizeof(Int); i-- > 0; rest = static_cast<decltype(rest)>(rest >> 8)) {
    bytes[i] = static_cast<char>(rest & 0xff);
    if constexpr (sizeof(Int) == 1) break;
  }
  return bytes;
}

void PutInt4(std::string& bytes, std::size_t at, std::int32_t value) {
  bytes.replace(at, 4, BigEndian(value));
}

// Dimensions, has-null flag, element type, length, lower bound: five integers.
constexpr std::size_t kHeader = 20;

}  // namespace

Array::Array(Element element, std::size_t expected_bytes) : bytes_(kHeader, '\0') {
  bytes_.reserve(kHeader + expected_bytes);
  PutInt4(bytes_, 8, static_cast<std::int32_t>(element));
}

void Array::AddNull() {
  bytes_.append(BigEndian(std::int32_t{-1}));
  has_null_ = true;
  ++count_;
}

void Array::AddRaw(const void* data, std::size_t size) {
  bytes_.append(BigEndian(static_cast<std::int32_t>(size)));
  bytes_.append(static_cast<const char*>(data), size);
  ++count_;
}

void Array::Add(bool value) {
  const char byte = value ? 1 : 0;
  AddRaw(&byte, 1);
}
void Array::Add(std::int16_t value) { Add(std::string_view(BigEndian(value))); }
void Array::Add(std::int32_t value) { Add(std::string_view(BigEndian(value))); }
void Array::Add(std::int64_t value) { Add(std::string_view(BigEndian(value))); }
void Array::Add(std::string_view value) { AddRaw(value.data(), value.size()); }

std::string Array::Take() && {
  PutInt4(bytes_, 4, has_null_ ? 1 : 0);
  if (count_ == 0) {
    bytes_.resize(12);  // zero dimensions: no length and no bound
    return std::move(bytes_);
  }
  PutInt4(bytes_, 0, 1);
  PutInt4(bytes_, 12, count_);
  PutInt4(bytes_, 16, 1);
  return std::move(bytes_);
}

Params& Params::Null() {
  values_.emplace_back();
  nulls_.push_back(true);
  return *this;
}

Params& Params::Add(std::string_view value) {
  values_.emplace_back(value);
  nulls_.push_back(false);
  return *this;
}

Params& Params::Add(bool value) { return Add(std::string_view(value ? "\1" : "\0", 1)); }
Params& Params::Add(std::int16_t value) { return Add(std::string_view(BigEndian(value))); }
Params& Params::Add(std::int32_t value) { return Add(std::string_view(BigEndian(value))); }
Params& Params::Add(std::int64_t value) { return Add(std::string_view(BigEndian(value))); }

Params& Params::Add(Array array) {
  values_.push_back(std::move(array).Take());
  nulls_.push_back(false);
  return *this;
}

}  // namespace capstan::storage
