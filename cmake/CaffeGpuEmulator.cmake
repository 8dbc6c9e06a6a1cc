# GPUs imitated on the CPU, for tests where there is none: the headers of CUDA and its libraries are those of
# src/caffe/test/gpu_emulator, which also implements them, and .cu files are compiled as C++.
set(gpu_emulator_dir ${PROJECT_SOURCE_DIR}/src/caffe/test/gpu_emulator)

# Makes `target` use imitated GPUs, with the .cu files given.
function(caffe_use_gpu_emulator target)
  file(GLOB emulator_sources CONFIGURE_DEPENDS ${gpu_emulator_dir}/*.cpp)
  add_library(gpu_emulator OBJECT ${emulator_sources})
  target_include_directories(gpu_emulator PUBLIC ${gpu_emulator_dir}/include)
  target_link_libraries(gpu_emulator PRIVATE caffe_warnings OpenBLAS::OpenBLAS Threads::Threads)
  target_sources(${target} PRIVATE ${ARGN} $<TARGET_OBJECTS:gpu_emulator>)
  if(ARGN)
    set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-x;c++;-Wno-unknown-pragmas")
  endif()
  target_compile_definitions(${target} PUBLIC CAFFE_GPU_EMULATOR USE_CUDNN USE_NCCL)
  target_include_directories(${target} BEFORE PUBLIC $<BUILD_INTERFACE:${gpu_emulator_dir}/include>)
endfunction()
