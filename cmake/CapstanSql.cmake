# Puts SQL files into C++ constants. Runs in two ways: included by CMakeLists.txt it defines
# capstan_embed_sql(); as a script (cmake -P) it writes the two generated files.
#
# capstan_embed_sql(NAME QUERIES dir MIGRATIONS dir): queries/lease_claim.sql becomes sql::kLeaseClaim, migrations
# become sql::kMigrations in order of their numbers. Adds the library NAME; the header is storage/sql.h.

if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(CAPSTAN_SQL_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

  function(capstan_embed_sql name)
    cmake_parse_arguments(A "" "QUERIES;MIGRATIONS" "" ${ARGN})
    file(GLOB files CONFIGURE_DEPENDS ${A_QUERIES}/*.sql ${A_MIGRATIONS}/*.sql)
    set(out ${CMAKE_BINARY_DIR}/gen/storage)
    add_custom_command(
      OUTPUT ${out}/sql.h ${out}/sql.cc
      COMMAND ${CMAKE_COMMAND} -DQUERIES=${A_QUERIES} -DMIGRATIONS=${A_MIGRATIONS} -DOUT=${out}
              -P ${CAPSTAN_SQL_SCRIPT}
      DEPENDS ${files} ${CAPSTAN_SQL_SCRIPT}
      COMMENT "Embedding SQL")
    add_library(${name} STATIC ${out}/sql.cc ${out}/sql.h)
    target_include_directories(${name} PUBLIC ${CMAKE_BINARY_DIR}/gen ${CMAKE_SOURCE_DIR})
  endfunction()
  return()
endif()

file(GLOB queries ${QUERIES}/*.sql)
file(GLOB migrations ${MIGRATIONS}/*.sql)
list(SORT queries)
list(SORT migrations)

set(names "")
set(declarations "")
set(definitions "")
foreach(file ${queries})
  get_filename_component(stem ${file} NAME_WE)
  set(constant "k")
  string(REPLACE "_" ";" words ${stem})
  foreach(word ${words})
    string(SUBSTRING ${word} 0 1 head)
    string(SUBSTRING ${word} 1 -1 tail)
    string(TOUPPER ${head} head)
    string(APPEND constant "${head}${tail}")
  endforeach()
  file(READ ${file} text)
  string(APPEND declarations "extern const Statement ${constant};\n")
  string(APPEND definitions "const Statement ${constant}{\"${stem}\", R\"capstan_sql(${text})capstan_sql\"};\n")
  string(APPEND names "    &${constant},\n")
endforeach()
foreach(file ${migrations})
  get_filename_component(stem ${file} NAME_WE)
  string(REGEX REPLACE "^0*([0-9]+)_.*" "\\1" version ${stem})
  file(READ ${file} text)
  string(APPEND steps "    {${version}, \"${stem}\", R\"capstan_sql(${text})capstan_sql\"},\n")
endforeach()

file(WRITE ${OUT}/sql.h "// Written by cmake/CapstanSql.cmake from storage/queries and storage/migrations.
#pragma once

#include <vector>

#include \"storage/statement.h\"

namespace capstan::storage::sql {

${declarations}
// All of them.
extern const std::vector<const Statement*> kAll;
// In order of their versions.
extern const std::vector<Migration> kMigrations;

}  // namespace capstan::storage::sql
")
file(WRITE ${OUT}/sql.cc "#include \"storage/sql.h\"

namespace capstan::storage::sql {

${definitions}
const std::vector<const Statement*> kAll = {
${names}};
const std::vector<Migration> kMigrations = {
${steps}};

}  // namespace capstan::storage::sql
")
