# How folders become targets. A folder's CMakeLists.txt names its target and what it links; the
# sources are the *.cc files beside it, so adding a file needs no edit here.

# capstan_library(NAME [PUBLIC libs...] [PRIVATE libs...]): every .cc in this folder except main.cc and tests.
function(capstan_library name)
  cmake_parse_arguments(A "" "" "PUBLIC;PRIVATE;SOURCES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  list(FILTER sources EXCLUDE REGEX "(/main|_test)\\.cc$")
  list(APPEND sources ${A_SOURCES})
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  target_link_libraries(${name} PUBLIC ${A_PUBLIC} PRIVATE ${A_PRIVATE})
endfunction()

# capstan_program(NAME libs...): this folder's main.cc, put into build/<preset>/bin.
function(capstan_program name)
  add_executable(${name} main.cc)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  target_link_libraries(${name} PRIVATE ${ARGN})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()

# capstan_test(NAME LABEL label [TIMEOUT seconds] LIBS libs...): every *_test.cc in this folder as one program and
# one ctest entry, run in the source directory (CAPSTAN_SOURCE_DIR, so that objects do not depend on where that is). Labels: unit, store, scenario, golden, e2e, fault, long.
function(capstan_test name)
  cmake_parse_arguments(A "" "LABEL;TIMEOUT" "LIBS;SOURCES" ${ARGN})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 300)
  endif()
  if(NOT A_SOURCES)
    file(GLOB A_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cc)
  endif()
  add_executable(${name} ${A_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
  target_link_libraries(${name} PRIVATE ${A_LIBS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE CAPSTAN_SOURCE_DIR=".")
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests-bin)
  add_test(NAME ${name} COMMAND ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(${name} PROPERTIES LABELS "${A_LABEL}" TIMEOUT ${A_TIMEOUT})
endfunction()

# capstan_proto_library(NAME ROOT dir PROTOS files... [IMPORTS dirs...] [LIBS libs...]): C++ and gRPC code.
# (CMake's own protobuf_generate mislays the outputs of protos below a root.)
function(capstan_proto_library name)
  cmake_parse_arguments(A "" "ROOT" "PROTOS;IMPORTS;LIBS" ${ARGN})
  set(out_dir ${CMAKE_BINARY_DIR}/gen)
  file(MAKE_DIRECTORY ${out_dir})
  set(includes -I${A_ROOT})
  foreach(import ${A_IMPORTS})
    list(APPEND includes -I${import})
  endforeach()
  set(sources)
  foreach(proto ${A_PROTOS})
    string(REGEX REPLACE "\\.proto$" "" base ${proto})
    set(outputs ${out_dir}/${base}.pb.cc ${out_dir}/${base}.pb.h)
    set(grpc_args)
    file(STRINGS ${A_ROOT}/${proto} service REGEX "^service ")
    if(service)
      list(APPEND outputs ${out_dir}/${base}.grpc.pb.cc ${out_dir}/${base}.grpc.pb.h)
      set(grpc_args --grpc_out=${out_dir} --plugin=protoc-gen-grpc=$<TARGET_FILE:gRPC::grpc_cpp_plugin>)
    endif()
    add_custom_command(
      OUTPUT ${outputs}
      COMMAND protobuf::protoc ${includes} --cpp_out=${out_dir} ${grpc_args} ${A_ROOT}/${proto}
      DEPENDS ${A_ROOT}/${proto}
      VERBATIM)
    list(APPEND sources ${outputs})
  endforeach()
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} SYSTEM PUBLIC ${out_dir})
  target_compile_options(${name} PRIVATE -w)
  target_link_libraries(${name} PUBLIC protobuf::libprotobuf gRPC::grpc++ ${A_LIBS})
endfunction()
