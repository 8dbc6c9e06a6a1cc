# Libraries the engine stands on. Required ones stop the configuration with a hint; optional ones are
# reported in the summary, and a call that needs a missing one raises an error that names it.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(Protobuf 3.12 REQUIRED)
find_package(OpenBLAS REQUIRED)
find_package(LMDB REQUIRED)
find_package(JPEG REQUIRED)
find_package(PNG REQUIRED)

if(CAFFE_HDF5)
  enable_language(C)
  find_package(HDF5 COMPONENTS C HL)
  set(CAFFE_USE_HDF5 ${HDF5_FOUND})
else()
  set(CAFFE_USE_HDF5 OFF)
endif()

if(CAFFE_LEVELDB)
  find_path(LEVELDB_INCLUDE_DIR leveldb/db.h)
  find_library(LEVELDB_LIBRARY leveldb)
  mark_as_advanced(LEVELDB_INCLUDE_DIR LEVELDB_LIBRARY)
endif()
if(CAFFE_LEVELDB AND LEVELDB_INCLUDE_DIR AND LEVELDB_LIBRARY)
  set(CAFFE_USE_LEVELDB ON)
else()
  set(CAFFE_USE_LEVELDB OFF)
endif()

# Beside a system's own, the one that scripts/setup.sh puts into .venv. The OpenMP flavour only: another would
# bring threads of its own, of which `-threads` and OMP_NUM_THREADS know nothing.
set(CAFFE_USE_ONEDNN OFF)
if(CAFFE_ONEDNN)
  find_package(dnnl 3 CONFIG QUIET HINTS ${PROJECT_SOURCE_DIR}/.venv)
  if(dnnl_FOUND AND DNNL_CPU_RUNTIME STREQUAL "OMP")
    set(CAFFE_USE_ONEDNN ON)
  endif()
endif()

set(CAFFE_USE_MPI OFF)
if(CAFFE_MPI)
  # MPI's interface of old for C++, which some of its headers still have, is not wanted.
  set(MPI_CXX_SKIP_MPICXX ON)
  find_package(MPI COMPONENTS CXX QUIET)
  set(CAFFE_USE_MPI ${MPI_CXX_FOUND})
endif()

if(CAFFE_OPENCV)
  find_package(OpenCV REQUIRED COMPONENTS core)
endif()

if(BUILD_TESTING)
  find_package(GTest REQUIRED)
endif()
