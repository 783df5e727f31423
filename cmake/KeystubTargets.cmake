# Compiler settings and the few functions that declare every target of the project.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)

include(GNUInstallDirs)
find_package(OpenSSL 3.0 REQUIRED)
find_package(Threads REQUIRED)

add_library(keystub-options INTERFACE)
target_compile_options(keystub-options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wold-style-cast -Wimplicit-fallthrough
  -fstack-protector-strong
  # Another compiler may warn of more; whoever only wants the library has nothing of that.
  $<$<NOT:$<BOOL:${KEYSTUB_ONLY_MIKEY}>>:-Werror>)
target_compile_definitions(keystub-options INTERFACE _GLIBCXX_ASSERTIONS KEYSTUB_SHORT_TRY)
if(KEYSTUB_SANITIZE)
  target_compile_options(keystub-options INTERFACE
    -fsanitize=${KEYSTUB_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(keystub-options INTERFACE -fsanitize=${KEYSTUB_SANITIZE})
endif()
if(KEYSTUB_WITH_FUZZERS)
  target_compile_options(keystub-options INTERFACE -fsanitize=fuzzer-no-link)
endif()
# What is tested is compiled as it is shipped, or instrumented in full. The tests' own code is half
# of all code, runs once and has no need of that: without it the builds take two thirds of the time.
set(KEYSTUB_TEST_CODE_OPTIONS -O0)
set(KEYSTUB_UNIT_TEST_SECONDS 300)
if(KEYSTUB_SANITIZE)
  set(KEYSTUB_UNIT_TEST_SECONDS 1200)
endif()
if(KEYSTUB_SANITIZE MATCHES undefined)
  list(APPEND KEYSTUB_TEST_CODE_OPTIONS -fno-sanitize=undefined)
endif()
if(KEYSTUB_COVERAGE)
  # Counted by several threads at once; gcovr takes no count that a race has made negative.
  target_compile_options(keystub-options INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(keystub-options INTERFACE --coverage)
endif()

# keystub_library(NAME SOURCES ... LINKS ...): a static library of one room.
# Headers are included from the folder above the room: "base/secret.h", "kms-server/audit.h".
function(keystub_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS;PRIVATE_LINKS" ${ARGN})
  if(arg_SOURCES)
    add_library(${name} STATIC ${arg_SOURCES})
    target_include_directories(${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR}/..)
    target_link_libraries(${name} PUBLIC ${arg_LINKS} PRIVATE keystub-options ${arg_PRIVATE_LINKS})
  else()
    add_library(${name} INTERFACE)
    target_include_directories(${name} INTERFACE ${CMAKE_CURRENT_SOURCE_DIR}/..)
    target_link_libraries(${name} INTERFACE ${arg_LINKS})
  endif()
endfunction()

# keystub_program(NAME SOURCES ... LINKS ... [MAN FILE...] [COMPONENT NAME]): an executable in
# build/<preset>/bin, installed with its manual pages. The component is `programs` unless named.
function(keystub_program name)
  cmake_parse_arguments(arg "" "COMPONENT" "SOURCES;LINKS;MAN" ${ARGN})
  if(NOT arg_COMPONENT)
    set(arg_COMPONENT programs)
  endif()
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/..)
  target_link_libraries(${name} PRIVATE keystub-options ${arg_LINKS})
  install(TARGETS ${name} RUNTIME COMPONENT ${arg_COMPONENT})
  foreach(page ${arg_MAN})
    string(REGEX MATCH "[1-8]$" section ${page})
    install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section}
      COMPONENT ${arg_COMPONENT})
  endforeach()
endfunction()

# keystub_unit_test(ROOM SOURCES ... LINKS ...): the one GoogleTest binary of a room.
function(keystub_unit_test room)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  set(name unit-${room})
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_compile_definitions(${name} PRIVATE KEYSTUB_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE keystub-options ${arg_LINKS} GTest::gtest_main GTest::gmock)
  target_compile_options(${name} PRIVATE ${KEYSTUB_TEST_CODE_OPTIONS})
  # Compiled some files at a time, in every preset: GoogleTest's headers take longer than the tests.
  if(NOT CMAKE_UNITY_BUILD)
    set_target_properties(${name} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 4)
  endif()
  add_test(NAME ${name} COMMAND ${name} --gtest_brief=1)
  set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT ${KEYSTUB_UNIT_TEST_SECONDS})
endfunction()

# keystub_fuzzer(NAME SOURCES ... LINKS ...): fuzz-NAME, and a replay of its committed corpus
# (tests/fuzz/corpus/NAME) that every other preset runs as a test, under the sanitizers it has.
function(keystub_fuzzer name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(fuzz-${name} ${arg_SOURCES})
  target_include_directories(fuzz-${name} PRIVATE ${CMAKE_SOURCE_DIR})
  target_link_libraries(fuzz-${name} PRIVATE keystub-options ${arg_LINKS})
  if(KEYSTUB_WITH_FUZZERS)
    target_link_options(fuzz-${name} PRIVATE -fsanitize=fuzzer)
  else()
    target_link_libraries(fuzz-${name} PRIVATE replay-main)
    add_test(NAME corpus-${name}
      COMMAND fuzz-${name} ${CMAKE_SOURCE_DIR}/tests/fuzz/corpus/${name})
    set_tests_properties(corpus-${name} PROPERTIES LABELS corpus TIMEOUT 120)
  endif()
endfunction()

# keystub_python_test(NAME LABEL FILE): the unittest cases of a Python file, which find the real
# binaries in KEYSTUB_BIN. Debian's interpreter: the one that python3-grpcio is installed for.
function(keystub_python_test name label file)
  add_test(NAME ${name}
    COMMAND /usr/bin/python3 -B ${CMAKE_SOURCE_DIR}/tests/integration/runner.py ${name}
      ${CMAKE_CURRENT_SOURCE_DIR}/${file})
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT 300
    ENVIRONMENT "KEYSTUB_BIN=${CMAKE_BINARY_DIR}/bin")
endfunction()
