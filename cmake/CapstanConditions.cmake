# Puts the conditions of the catalog into the worker. Runs in two ways: included it defines
# capstan_embed_conditions(); as a script (cmake -P) it writes the generated file.
#
# capstan_embed_conditions(TARGET DIRECTORY): adds the .rego files of DIRECTORY, tests included, to TARGET as the
# definition of kEmbeddedConditions (worker/policy/embedded_conditions.h).

if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(CAPSTAN_CONDITIONS_SCRIPT ${CMAKE_CURRENT_LIST_FILE})

  function(capstan_embed_conditions target directory)
    file(GLOB files CONFIGURE_DEPENDS ${directory}/*.rego)
    set(out ${CMAKE_BINARY_DIR}/gen/worker/policy/embedded_conditions.cc)
    add_custom_command(
      OUTPUT ${out}
      COMMAND ${CMAKE_COMMAND} -DDIRECTORY=${directory} -DOUT=${out} -P ${CAPSTAN_CONDITIONS_SCRIPT}
      DEPENDS ${files} ${CAPSTAN_CONDITIONS_SCRIPT}
      COMMENT "Embedding conditions")
    target_sources(${target} PRIVATE ${out})
  endfunction()
  return()
endif()

file(GLOB files ${DIRECTORY}/*.rego)
list(SORT files)
set(definitions "")
foreach(file ${files})
  get_filename_component(name ${file} NAME)
  file(READ ${file} text)
  string(APPEND definitions "    {\"\", \"${name}\", R\"capstan_rego(${text})capstan_rego\"},\n")
endforeach()
file(WRITE ${OUT} "// Written by cmake/CapstanConditions.cmake from catalog/conditions.
#include \"worker/policy/embedded_conditions.h\"

namespace capstan::policy {

const std::vector<PolicyFile> kEmbeddedConditions = {
${definitions}};

}  // namespace capstan::policy
")
