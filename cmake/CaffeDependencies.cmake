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

if(BUILD_TESTING)
  find_package(GTest REQUIRED)
endif()
