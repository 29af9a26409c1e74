# Turns the library's Lua files into one C source, which defines
#
#   const char functions_source[];        the files, concatenated in the order given
#   const size_t functions_source_len;    without the NUL that follows
#   const int functions_version;          what `local VERSION = n` in them says
#
# Usage: cmake -P embed.cmake OUTPUT.c 00-library.lua 10-arguments.lua ...
# The bytes are written as numbers: C promises string literals of 4,095 characters only.

set(files)
set(is_own_argument FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
    if(is_own_argument)
        list(APPEND files "${CMAKE_ARGV${i}}")
    elseif("${CMAKE_ARGV${i}}" STREQUAL "-P")
        set(is_own_argument TRUE)
    endif()
endforeach()
list(POP_FRONT files script output)
if(NOT files)
    message(FATAL_ERROR "usage: cmake -P embed.cmake OUTPUT.c INPUT.lua...")
endif()

set(bytes "")
set(version "")
foreach(file IN LISTS files)
    file(READ "${file}" hex HEX)
    file(STRINGS "${file}" lines REGEX "^local VERSION = [0-9]+$")
    foreach(line IN LISTS lines)
        if(version)
            message(FATAL_ERROR "VERSION is defined twice, again in ${file}")
        endif()
        string(REGEX REPLACE "^local VERSION = " "" version "${line}")
    endforeach()
    string(APPEND bytes "${hex}")
endforeach()
if(NOT version)
    message(FATAL_ERROR "no file says `local VERSION = n`")
endif()

string(LENGTH "${bytes}" digits)
math(EXPR length "${digits} / 2")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," literals "${bytes}")
string(REPEAT "'....'," 12 line)
string(REGEX REPLACE "(${line})" "\\1\n    " literals "${literals}")

file(WRITE "${output}" "/* Made by cluster/functions/embed.cmake. Do not edit. */
#include <stddef.h>

extern const char functions_source[];
extern const size_t functions_source_len;
extern const int functions_version;

const char functions_source[] = {
    ${literals}'\\0'};
const size_t functions_source_len = ${length};
const int functions_version = ${version};
")
