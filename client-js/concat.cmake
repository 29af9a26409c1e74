# Makes one ES module of the client's modules, for the node to serve at /client.js. It needs neither
# node.js nor a bundler:
#
#     cmake -DOUTPUT=client.js -P client-js/concat.cmake
#
# The modules keep to what makes this possible: their top-level names are all different, exports
# stand before what they export, and only index.js exports names for users. Comments and indentation
# go, because what is served is for browsers; the sources are for readers.
cmake_minimum_required(VERSION 3.19)
if(NOT DEFINED OUTPUT)
    message(FATAL_ERROR "-DOUTPUT=FILE is missing")
endif()
include(${CMAKE_CURRENT_LIST_DIR}/modules.cmake)
file(READ ${CMAKE_CURRENT_LIST_DIR}/package.json package)
string(JSON version GET "${package}" version)

set(text "")
foreach(module IN LISTS FRESHET_CLIENT_MODULES)
    file(READ ${module} source)
    string(PREPEND source "\n")
    string(REGEX REPLACE "/\\*\\*([^*]|\\*+[^*/])*\\*+/ ?" "" source "${source}")
    string(REGEX REPLACE "\n *//[^\n]*" "" source "${source}")
    string(REGEX REPLACE "\nimport [^;]*;" "" source "${source}")
    if(NOT module MATCHES "/index\\.js$")
        string(REGEX REPLACE "\nexport " "\n" source "${source}")
    endif()
    string(REGEX REPLACE "\n[\n ]+" "\n" source "${source}")
    string(APPEND text "${source}")
endforeach()
file(WRITE ${OUTPUT} "/*! freshet-client ${version}, MIT */${text}")
