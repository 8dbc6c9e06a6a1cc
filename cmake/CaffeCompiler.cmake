# Flags every target of the project shares.
add_library(caffe_warnings INTERFACE)
target_compile_options(caffe_warnings INTERFACE -Wall -Wextra)
if(CAFFE_WERROR)
  target_compile_options(caffe_warnings INTERFACE -Werror)
endif()

# Log lines carry file names relative to the source tree, on every machine the same.
add_compile_options(-fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # The oldest processor supported; hot loops are compiled for newer ones too and chosen at run time.
  add_compile_options(-march=x86-64-v2)
endif()

set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

if(CAFFE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "CAFFE_FUZZ needs clang and its libFuzzer: CXX=clang++ cmake -DCAFFE_FUZZ=ON ...")
  endif()
  add_compile_options(-g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
  add_link_options(-fsanitize=address,undefined)
endif()

if(CAFFE_CCACHE)
  find_program(CCACHE_PROGRAM ccache)
  if(CCACHE_PROGRAM)
    # Precompiled headers are cached only with these checks relaxed.
    set(CMAKE_CXX_COMPILER_LAUNCHER
        ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
  endif()
endif()
