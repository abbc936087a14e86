#include "worker/doctor/report.h"

#include <algorithm>
#include <array>

#include "core/text.h"

namespace capstan::doctor {
namespace {

using Row = std::array<std::string, 4>;

// Texts of a cluster cannot steer a terminal.
std::string OneLine(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

std::string Table(const std::vector<Row>& rows) {
  std::array<std::size_t, 4> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      Append(&line, row[i], std::string(widths[i] - row[i].size() + 2, ' '));
    line.erase(line.find_last_not_of(' ') + 1);
    Append(&text, line, "\n");
  }
  return text;
}

}  // namespace

bool Report::ok() const {
  return std::all_of(checks.begin(), checks.end(),
                     [](const Check& check) { return check.finding == Finding::kNone; });
}

std::string Report::Text() const {
  std::vector<Row> rows = {{"RESULT", "SUBJECT", "CHECK", "MESSAGE"}};
  std::size_t findings = 0;
  for (const Check& check : checks) {
    rows.push_back({std::string(FindingName(check.finding)), OneLine(check.subject),
                    OneLine(check.what), OneLine(check.message)});
    if (check.finding != Finding::kNone) ++findings;
  }
  return Cat(Table(rows), "\n",
             findings == 0 ? std::string("all is well")
                           : Cat(findings, findings == 1 ? " finding" : " findings"),
             "\n");
}

std::string Report::ToJson() const {
  Json list = Json::array();
  for (const Check& check : checks) {
    list.push_back({{"subject", check.subject},
                    {"check", check.what},
                    {"finding", std::string(FindingName(check.finding))},
                    {"message", check.message}});
  }
  const Json report = {{"ok", ok()}, {"checks", std::move(list)}};
  return Cat(report.dump(2, ' ', false, Json::error_handler_t::replace), "\n");
}

}  // namespace capstan::doctor
