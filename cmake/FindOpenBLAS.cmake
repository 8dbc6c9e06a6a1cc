# Finds OpenBLAS with its CBLAS header and makes the target OpenBLAS::OpenBLAS.
# The OpenMP flavour is preferred: it runs on one thread inside a parallel region, so that it never
# competes with the engine's own threads.
find_path(OpenBLAS_INCLUDE_DIR NAMES cblas.h
          HINTS ENV OpenBLAS_HOME
          PATH_SUFFIXES include openblas-openmp openblas openblas-pthread
          PATHS /usr/include/${CMAKE_LIBRARY_ARCHITECTURE})
find_library(OpenBLAS_LIBRARY NAMES openblas
             HINTS ENV OpenBLAS_HOME
             PATH_SUFFIXES lib openblas-openmp
             PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE}/openblas-openmp
                   /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE})

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  OpenBLAS REQUIRED_VARS OpenBLAS_LIBRARY OpenBLAS_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "install libopenblas-openmp-dev (Debian, Ubuntu) or set OpenBLAS_HOME")

if(OpenBLAS_FOUND AND NOT TARGET OpenBLAS::OpenBLAS)
  add_library(OpenBLAS::OpenBLAS UNKNOWN IMPORTED)
  set_target_properties(OpenBLAS::OpenBLAS PROPERTIES
    IMPORTED_LOCATION "${OpenBLAS_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${OpenBLAS_INCLUDE_DIR}")
endif()
mark_as_advanced(OpenBLAS_INCLUDE_DIR OpenBLAS_LIBRARY)
