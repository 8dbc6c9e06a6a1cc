# Finds NVIDIA's libraries: each component of cudart, cublas, curand, cudnn (version 9) and nccl makes a target
# Nvidia::NAME. They lie in a toolkit, in the system's folders or in the nvidia-* wheels of a Python environment,
# where libraries have only names with a version, such as libcublas.so.13.
#
# NvidiaLibraries_CUDA_MAJOR  the version of CUDA that they must belong to, such as 13
# NvidiaLibraries_ROOTS       where to look, before the system's folders: toolkits, and folders of wheels
#                             (site-packages/nvidia/*)
#
# Sets NvidiaLibraries_NAME_FOUND, NvidiaLibraries_NAME_VERSION (of cudnn and nccl), and for all of them
# NvidiaLibraries_FOUND_ROOTS and NvidiaLibraries_LIBRARY_FOLDERS.

# A header of each, and the names of the library, the best first. The runtime is linked statically, as nvcc does
# it, so that there is one that fits the compiler.
set(_nvidia_cudart_header cuda_runtime.h)
set(_nvidia_cudart_names libcudart_static.a libcudart.so libcudart.so.${NvidiaLibraries_CUDA_MAJOR})
set(_nvidia_cublas_header cublas_v2.h)
set(_nvidia_cublas_names libcublas.so.${NvidiaLibraries_CUDA_MAJOR})
set(_nvidia_curand_header curand.h)
set(_nvidia_curand_names libcurand.so.10)
set(_nvidia_cudnn_header cudnn.h)
set(_nvidia_cudnn_names libcudnn.so.9)
set(_nvidia_nccl_header nccl.h)
set(_nvidia_nccl_names libnccl.so.2)

# The version that macros PREFIX_MAJOR and so on of a header tell; empty where they do not.
function(_nvidia_header_version file prefix result)
  set(version "")
  if(EXISTS ${file})
    foreach(part MAJOR MINOR PATCHLEVEL PATCH)
      file(STRINGS ${file} line REGEX "^#define +${prefix}_${part} +[0-9]+" LIMIT_COUNT 1)
      if(line MATCHES "([0-9]+) *$")
        list(APPEND version ${CMAKE_MATCH_1})
      endif()
    endforeach()
  endif()
  list(JOIN version "." version)
  set(${result} "${version}" PARENT_SCOPE)
endfunction()

# Whether wheels beside a folder of one say that it belongs to another version of CUDA: NAME_cu12 for CUDA 13.
function(_nvidia_other_cuda root name result)
  set(${result} FALSE PARENT_SCOPE)
  get_filename_component(site ${root}/../.. ABSOLUTE)
  file(GLOB all ${site}/nvidia_${name}_cu*.dist-info)
  file(GLOB right ${site}/nvidia_${name}_cu${NvidiaLibraries_CUDA_MAJOR}-*.dist-info)
  if(all AND NOT right)
    set(${result} TRUE PARENT_SCOPE)
  endif()
endfunction()

set(NvidiaLibraries_FOUND_ROOTS)
set(NvidiaLibraries_LIBRARY_FOLDERS)
foreach(_name IN LISTS NvidiaLibraries_FIND_COMPONENTS)
  set(NvidiaLibraries_${_name}_FOUND FALSE)
  foreach(_root IN LISTS NvidiaLibraries_ROOTS ITEMS /usr/local /usr)
    set(_include)
    foreach(_folder include include/${CMAKE_LIBRARY_ARCHITECTURE})
      if(NOT _include AND EXISTS ${_root}/${_folder}/${_nvidia_${_name}_header})
        set(_include ${_root}/${_folder})
      endif()
    endforeach()
    set(_library)
    foreach(_file IN LISTS _nvidia_${_name}_names)
      foreach(_folder lib64 lib lib/${CMAKE_LIBRARY_ARCHITECTURE})
        if(NOT _library AND EXISTS ${_root}/${_folder}/${_file})
          set(_library ${_root}/${_folder}/${_file})
        endif()
      endforeach()
    endforeach()
    if(NOT _include OR NOT _library)
      continue()
    endif()
    if(_name STREQUAL "cudnn")
      _nvidia_header_version(${_include}/cudnn_version.h CUDNN NvidiaLibraries_cudnn_VERSION)
      if(NOT NvidiaLibraries_cudnn_VERSION MATCHES "^9\\.")
        continue()
      endif()
    elseif(_name STREQUAL "nccl")
      _nvidia_header_version(${_include}/nccl.h NCCL NvidiaLibraries_nccl_VERSION)
    endif()
    _nvidia_other_cuda(${_root} ${_name} _other_cuda)
    if(_other_cuda)
      continue()
    endif()

    set(NvidiaLibraries_${_name}_FOUND TRUE)
    list(APPEND NvidiaLibraries_FOUND_ROOTS ${_root})
    if(NOT TARGET Nvidia::${_name})
      add_library(Nvidia::${_name} UNKNOWN IMPORTED)
      set_target_properties(Nvidia::${_name} PROPERTIES
        IMPORTED_LOCATION ${_library}
        INTERFACE_INCLUDE_DIRECTORIES ${_include})
      if(_library MATCHES "_static")
        set_target_properties(Nvidia::${_name} PROPERTIES
          INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};rt")
      endif()
    endif()
    if(NOT _library MATCHES "_static")
      get_filename_component(_folder ${_library} DIRECTORY)
      list(APPEND NvidiaLibraries_LIBRARY_FOLDERS ${_folder})
    endif()
    break()
  endforeach()
endforeach()
list(REMOVE_DUPLICATES NvidiaLibraries_FOUND_ROOTS)
list(REMOVE_DUPLICATES NvidiaLibraries_LIBRARY_FOLDERS)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(NvidiaLibraries HANDLE_COMPONENTS
  REQUIRED_VARS NvidiaLibraries_CUDA_MAJOR)
