# Sets `result` to flags of the C++ compiler as each language's compiler takes them: nvcc hands them on.
function(caffe_host_flags result)
  set(flags)
  foreach(flag IN LISTS ARGN)
    list(APPEND flags $<$<COMPILE_LANGUAGE:CXX>:${flag}> $<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=${flag}>)
  endforeach()
  set(${result} "${flags}" PARENT_SCOPE)
endfunction()

# Flags every target of the project shares.
add_library(caffe_warnings INTERFACE)
caffe_host_flags(flags -Wall -Wextra)
target_compile_options(caffe_warnings INTERFACE ${flags})
if(CAFFE_WERROR)
  caffe_host_flags(flags -Werror)
  target_compile_options(caffe_warnings INTERFACE
    ${flags} "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:--Werror all-warnings>")
endif()

# Log lines carry file names relative to the source tree, on every machine the same.
caffe_host_flags(flags -fmacro-prefix-map=${PROJECT_SOURCE_DIR}/=)
add_compile_options(${flags})

if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  # The oldest processor supported; hot loops are compiled for newer ones too and chosen at run time.
  caffe_host_flags(flags -march=x86-64-v2)
  add_compile_options(${flags})
endif()

set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

set(CAFFE_ADDRESS_SANITIZERS address,undefined,float-cast-overflow)
set(sanitizers)
if(CAFFE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "CAFFE_FUZZ needs clang and its libFuzzer: CXX=clang++ cmake -DCAFFE_FUZZ=ON ...")
  endif()
  set(sanitizers address,undefined)
  add_compile_options(-fsanitize=fuzzer-no-link)
elseif(CAFFE_SANITIZE STREQUAL "address")
  set(sanitizers ${CAFFE_ADDRESS_SANITIZERS})
elseif(CAFFE_SANITIZE STREQUAL "thread")
  set(sanitizers thread)
elseif(CAFFE_SANITIZE)
  message(FATAL_ERROR "CAFFE_SANITIZE is '${CAFFE_SANITIZE}': it may be address, thread or empty")
endif()
# Line numbers for the reports; what else -g says takes gigabytes.
set(CAFFE_SANITIZED_CODE -O1 -g1 -fno-omit-frame-pointer)
if(sanitizers)
  add_compile_options(${CAFFE_SANITIZED_CODE} -fsanitize=${sanitizers} -fno-sanitize-recover=all)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
  add_link_options(-fsanitize=${sanitizers})
endif()

if(CAFFE_CCACHE)
  find_program(CCACHE_PROGRAM ccache)
  if(CCACHE_PROGRAM)
    # Precompiled headers are cached only with these checks relaxed.
    set(CMAKE_CXX_COMPILER_LAUNCHER
        ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
  endif()
endif()
