// Rows that a statement returned, in Postgres' binary format. A column of another type than asked
// for is a defect of ours and ends the process.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "core/ids.h"
#include "core/status_macros.h"

struct pg_result;

namespace capstan::storage {

class Rows {
 public:
  explicit Rows(pg_result* result);
  Rows(Rows&&) noexcept;
  Rows& operator=(Rows&&) noexcept;
  ~Rows();

  int size() const;
  bool empty() const { return size() == 0; }
  // Rows an INSERT, UPDATE or DELETE touched.
  int affected() const;

  bool IsNull(int row, int column) const;
  bool Bool(int row, int column) const { return Raw(row, column) == std::string_view("\1", 1); }
  // smallint, int or bigint; 0 when NULL.
  std::int64_t Int(int row, int column) const;
  // text or bytea; empty when NULL. Lives as long as this object.
  std::string_view Bytes(int row, int column) const { return Raw(row, column); }
  std::string Text(int row, int column) const { return std::string(Raw(row, column)); }
  absl::Time Time(int row, int column) const;          // timestamptz
  absl::Duration Interval(int row, int column) const;  // interval without months
  std::vector<std::int64_t> Ints(int row, int column) const;
  std::vector<std::string> Texts(int row, int column) const;

  template <class Id>
  Id Uuid(int row, int column) const {
    return ToUuid<Id>(Raw(row, column));
  }
  template <class Id>
  std::vector<Id> Uuids(int row, int column) const {
    std::vector<Id> ids;
    for (std::string_view element : Elements(row, column)) ids.push_back(ToUuid<Id>(element));
    return ids;
  }

 private:
  std::string_view Raw(int row, int column) const;
  std::vector<std::string_view> Elements(int row, int column) const;

  template <class Id>
  static Id ToUuid(std::string_view raw) {
    typename Id::Bytes bytes;
    CAPSTAN_CHECK(raw.size() == bytes.size());
    raw.copy(reinterpret_cast<char*>(bytes.data()), bytes.size());
    return Id(bytes);
  }

  struct Clear {
    void operator()(pg_result* result) const;
  };
  std::unique_ptr<pg_result, Clear> result_;
};

}  // namespace capstan::storage
