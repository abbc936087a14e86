// One JSON line per fact, on standard error: {"time":…,"level":…,"message":…, fields…}. The message
// is constant and the data is in fields: Log(Level::kInfo, "lease lost", {{"execution", id},
// {"epoch", epoch}}). Never log secrets, parameter values or prompt text. Thread-safe.
//
// INFO: state changes an operator cares about. WARNING: handled but unusual. ERROR: a person should
// look.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"

namespace capstan {

enum class Level { kDebug, kInfo, kWarning, kError };

struct LogField {
  template <class T>
  LogField(std::string_view k, const T& v) : key(k), value(absl::StrCat(v)) {}
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, bool v) : key(k), value(v ? "true" : "false") {}
  std::string_view key;
  std::string value;
};

void Log(Level level, std::string_view message, std::initializer_list<LogField> fields = {});

// Least level that is written; INFO at start.
void SetLogLevel(Level level);

// Parses "debug", "info", "warning", "error"; false for anything else.
bool ParseLogLevel(std::string_view text, Level* level);

}  // namespace capstan
