# Turns files into one C source of `struct asset`s, which node/api/page.h declares:
#
#   cmake -P embed.cmake OUTPUT.c NAME FILE [NAME FILE]...
#
# The bytes are written as numbers: C promises string literals of 4,095 characters only. The entity
# tag is of the bytes, so that browsers keep what has not changed.
set(arguments)
set(is_own_argument FALSE)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
    if(is_own_argument)
        list(APPEND arguments "${CMAKE_ARGV${i}}")
    elseif("${CMAKE_ARGV${i}}" STREQUAL "-P")
        set(is_own_argument TRUE)
    endif()
endforeach()
list(POP_FRONT arguments script output)

set(source "// Made by node/api/embed.cmake. Do not edit.\n#include \"node/api/page.h\"\n")
while(arguments)
    list(POP_FRONT arguments name file)
    file(READ "${file}" hex HEX)
    file(SHA256 "${file}" hash)
    string(SUBSTRING "${hash}" 0 16 tag)
    string(LENGTH "${hex}" digits)
    math(EXPR length "${digits} / 2")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${hex}")
    string(REPEAT "'....'," 12 line)
    string(REGEX REPLACE "(${line})" "\\1\n    " bytes "${bytes}")
    string(APPEND source "
static const char ${name}_bytes[] = {
    ${bytes}};
const struct asset ${name} = {{${name}_bytes, ${length}}, {\"\\\"${tag}\\\"\", 18}};
")
endwhile()
file(WRITE "${output}" "${source}")
