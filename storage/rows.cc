#include "storage/rows.h"

#include <libpq-fe.h>

#include "absl/strings/numbers.h"

namespace capstan::storage {
namespace {

std::int64_t BigEndian(std::string_view raw) {
  CAPSTAN_CHECK(raw.size() == 2 || raw.size() == 4 || raw.size() == 8);
  std::uint64_t value = (raw[0] & 0x80) != 0 ? ~std::uint64_t{0} : 0;
  for (const char byte : raw) value = (value << 8) | static_cast<unsigned char>(byte);
  return static_cast<std::int64_t>(value);
}

// Postgres counts microseconds from the year 2000.
constexpr std::int64_t kEpoch = 946'684'800;

}  // namespace

void Rows::Clear::operator()(pg_result* result) const { PQclear(result); }

Rows::Rows(pg_result* result) : result_(result) {}
Rows::Rows(Rows&&) noexcept = default;
Rows& Rows::operator=(Rows&&) noexcept = default;
Rows::~Rows() = default;

int Rows::size() const { return PQntuples(result_.get()); }

int Rows::affected() const {
  int count = 0;
  return absl::SimpleAtoi(PQcmdTuples(result_.get()), &count) ? count : 0;
}

bool Rows::IsNull(int row, int column) const {
  return PQgetisnull(result_.get(), row, column) != 0;
}

std::string_view Rows::Raw(int row, int column) const {
  CAPSTAN_CHECK(row < size() && column < PQnfields(result_.get()));
  return {PQgetvalue(result_.get(), row, column),
          static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::int64_t Rows::Int(int row, int column) const {
  return IsNull(row, column) ? 0 : BigEndian(Raw(row, column));
}

absl::Time Rows::Time(int row, int column) const {
  return absl::FromUnixSeconds(kEpoch) + absl::Microseconds(Int(row, column));
}

absl::Duration Rows::Interval(int row, int column) const {
  const std::string_view raw = Raw(row, column);  // microseconds, days, months
  CAPSTAN_CHECK(raw.size() == 16 && BigEndian(raw.substr(12)) == 0);
  return absl::Microseconds(BigEndian(raw.substr(0, 8))) +
         absl::Hours(24 * BigEndian(raw.substr(8, 4)));
}

std::vector<std::string_view> Rows::Elements(int row, int column) const {
  std::string_view raw = Raw(row, column);
  std::vector<std::string_view> elements;
  if (IsNull(row, column) || BigEndian(raw.substr(0, 4)) == 0) return elements;
  const std::int64_t count = BigEndian(raw.substr(12, 4));
  elements.reserve(static_cast<std::size_t>(count));
  raw.remove_prefix(20);
  for (std::int64_t i = 0; i < count; ++i) {
    const auto length = static_cast<std::size_t>(BigEndian(raw.substr(0, 4)));
    elements.push_back(raw.substr(4, length));
    raw.remove_prefix(4 + length);
  }
  return elements;
}

std::vector<std::int64_t> Rows::Ints(int row, int column) const {
  std::vector<std::int64_t> values;
  for (std::string_view element : Elements(row, column)) values.push_back(BigEndian(element));
  return values;
}

std::vector<std::string> Rows::Texts(int row, int column) const {
  std::vector<std::string> values;
  for (std::string_view element : Elements(row, column)) values.emplace_back(element);
  return values;
}

}  // namespace capstan::storage
