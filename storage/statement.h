// SQL text and its name: one file of storage/queries or storage/migrations each.
#pragma once

namespace capstan::storage {

struct Statement {
  const char* name;  // of the file, without .sql; also the name it is prepared under
  const char* text;
};

struct Migration {
  int version;
  const char* name;
  const char* text;
};

}  // namespace capstan::storage
