# The GPU build: nvcc, the libraries, and what code is compiled for.
option(CAFFE_CUDA "Compute on NVIDIA GPUs, too, with CUDA" OFF)
option(CAFFE_CUDNN "Compute on GPUs with cuDNN 9, where it is found" ON)
option(CAFFE_NCCL "Train on several GPUs with NCCL, where it is found" ON)
if(NOT CAFFE_CUDA)
  return()
elseif(CAFFE_GPU_EMULATOR)
  message(FATAL_ERROR "CAFFE_CUDA and CAFFE_GPU_EMULATOR exclude each other")
endif()

# nvcc is often not in PATH.
if(NOT CMAKE_CUDA_COMPILER)
  unset(CMAKE_CUDA_COMPILER CACHE)
  find_program(CAFFE_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT CAFFE_NVCC AND NOT DEFINED ENV{CUDACXX})
    message(FATAL_ERROR
      "CAFFE_CUDA=ON needs nvcc: install the CUDA toolkit, version 12 or 13, or of NVIDIA's packages cuda-nvcc "
      "and cuda-cudart-dev, and name its folder in CUDA_HOME if that is not /usr/local/cuda")
  endif()
  if(CAFFE_NVCC AND NOT DEFINED ENV{CUDACXX})
    set(CMAKE_CUDA_COMPILER ${CAFFE_NVCC})
  endif()
endif()

# The GPUs that are here, or else those that are in use for training; the last also as what newer ones compile for
# themselves. Integer products on tensor cores need 8.0.
if(NOT CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
  execute_process(COMMAND nvidia-smi --query-gpu=compute_cap --format=csv,noheader
                  OUTPUT_VARIABLE here ERROR_QUIET RESULT_VARIABLE failed)
  set(architectures)
  if(NOT failed)
    string(REGEX MATCHALL "[0-9]+\\.[0-9]+" here "${here}")
    foreach(capability IN LISTS here)
      string(REPLACE "." "" capability ${capability})
      if(capability GREATER_EQUAL 80)
        list(APPEND architectures ${capability})
      endif()
    endforeach()
    list(REMOVE_DUPLICATES architectures)
  endif()
  if(NOT architectures)
    set(architectures 80-real 90)
  endif()
  set(CMAKE_CUDA_ARCHITECTURES "${architectures}" CACHE STRING "Compute capabilities to compile for" FORCE)
endif()

set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
if(NOT CMAKE_CUDA_HOST_COMPILER AND NOT DEFINED ENV{CUDAHOSTCXX})
  set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
endif()
if(CCACHE_PROGRAM)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
enable_language(CUDA)
if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12)
  message(FATAL_ERROR "CAFFE_CUDA=ON needs CUDA 12 or 13, but ${CMAKE_CUDA_COMPILER} is of version "
                      "${CMAKE_CUDA_COMPILER_VERSION}")
endif()

# Wheels, in the environment that scripts/setup.sh makes and in that of the Python which builds.
set(python ${Python_EXECUTABLE})
if(NOT python)
  set(python python3)
endif()
execute_process(
  COMMAND ${python} -c "import site, sysconfig
print(';'.join({sysconfig.get_path('purelib'), sysconfig.get_path('platlib'), site.getusersitepackages()}))"
  OUTPUT_VARIABLE sites OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
file(GLOB own_sites ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages)
set(wheels)
foreach(site IN LISTS own_sites sites)
  file(GLOB folders LIST_DIRECTORIES TRUE ${site}/nvidia/*)
  list(APPEND wheels ${folders})
endforeach()

string(REGEX MATCH "^[0-9]+" NvidiaLibraries_CUDA_MAJOR ${CMAKE_CUDA_COMPILER_VERSION})
set(NvidiaLibraries_ROOTS ${CMAKE_CUDA_COMPILER_TOOLKIT_ROOT} ${CUDNN_ROOT} $ENV{CUDNN_ROOT} ${NCCL_ROOT}
    $ENV{NCCL_ROOT} ${wheels})
set(caffe_nvidia_components cudart cublas curand)
foreach(name cudnn nccl)
  string(TOUPPER ${name} option)
  if(CAFFE_${option})
    list(APPEND caffe_nvidia_components ${name})
  endif()
endforeach()
find_package(NvidiaLibraries COMPONENTS ${caffe_nvidia_components} QUIET)
foreach(name cudart cublas curand)
  if(NOT NvidiaLibraries_${name}_FOUND)
    message(FATAL_ERROR
      "CAFFE_CUDA=ON needs ${name} of CUDA ${NvidiaLibraries_CUDA_MAJOR}, which is neither in "
      "${CMAKE_CUDA_COMPILER_TOOLKIT_ROOT} nor among the wheels of ${python} or .venv: CAFFE_CUDA=ON bash "
      "scripts/setup.sh installs it into .venv")
  endif()
endforeach()
set(caffe_nvidia_found)
foreach(name IN LISTS caffe_nvidia_components)
  if(NvidiaLibraries_${name}_FOUND)
    list(APPEND caffe_nvidia_found ${name})
  endif()
endforeach()

# For RPATH: where the libraries lie, and where the same wheels lie seen from another environment's `caffe` package.
set(CAFFE_NVIDIA_RPATH)
foreach(folder IN LISTS NvidiaLibraries_LIBRARY_FOLDERS)
  if(folder MATCHES "/(nvidia/[^/]+/lib)$")
    list(APPEND CAFFE_NVIDIA_RPATH "$ORIGIN/../${CMAKE_MATCH_1}")
  endif()
endforeach()
list(APPEND CAFFE_NVIDIA_RPATH ${NvidiaLibraries_LIBRARY_FOLDERS})

# Makes `target` use GPUs, with the .cu files given.
function(caffe_use_cuda target)
  target_sources(${target} PRIVATE ${ARGN})
  list(TRANSFORM caffe_nvidia_found PREPEND Nvidia:: OUTPUT_VARIABLE libraries)
  target_link_libraries(${target} PUBLIC ${libraries})
  foreach(name cudnn nccl)
    if(TARGET Nvidia::${name})
      string(TOUPPER USE_${name} definition)
      target_compile_definitions(${target} PUBLIC ${definition})
    endif()
  endforeach()
  # All work is on the calling thread's stream, that of code for Caffe, too.
  target_compile_definitions(${target} PUBLIC CUDA_API_PER_THREAD_DEFAULT_STREAM=1)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:CUDA>:--extended-lambda;--expt-relaxed-constexpr;--default-stream=per-thread>")
endfunction()
