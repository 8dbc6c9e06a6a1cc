# `cmake --install`: the library, its headers and the files that find_package(Caffe) reads.
include(CMakePackageConfigHelpers)
set(caffe_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Caffe)

# The libraries go on using the BLAS and HDF5 that they were linked with, where these lie outside the usual folders.
set_target_properties(caffe PROPERTIES INSTALL_RPATH "$ORIGIN;${CAFFE_NVIDIA_RPATH}" INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS caffe hwgq EXPORT CaffeTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET caffe_onednn)
  # In full, since CMake leaves out folders that lie in the source tree, such as .venv.
  set_target_properties(caffe_onednn PROPERTIES INSTALL_RPATH
    "$ORIGIN;$<TARGET_FILE_DIR:DNNL::dnnl>;${CAFFE_NVIDIA_RPATH}")
  install(TARGETS caffe_onednn LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
foreach(loaded caffe_hdf5 caffe_mpi)
  if(TARGET ${loaded})
    set_target_properties(${loaded} PROPERTIES INSTALL_RPATH "$ORIGIN" INSTALL_RPATH_USE_LINK_PATH ON)
    install(TARGETS ${loaded} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  endif()
endforeach()
if(TARGET hwgq_cuda)
  set_target_properties(hwgq_cuda PROPERTIES INSTALL_RPATH "$ORIGIN;${CAFFE_NVIDIA_RPATH}")
  install(TARGETS hwgq_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/caffe DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES ${PROJECT_BINARY_DIR}/include/caffe/proto/caffe.pb.h
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/caffe/proto)
install(FILES ${PROJECT_SOURCE_DIR}/src/caffe/proto/caffe.proto DESTINATION ${CMAKE_INSTALL_DATADIR}/caffe)
install(EXPORT CaffeTargets NAMESPACE Caffe:: DESTINATION ${caffe_cmake_dir})

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/CaffeConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/CaffeConfig.cmake
                              INSTALL_DESTINATION ${caffe_cmake_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/CaffeConfigVersion.cmake
                                 COMPATIBILITY SameMajorVersion)
install(FILES ${PROJECT_BINARY_DIR}/CaffeConfig.cmake ${PROJECT_BINARY_DIR}/CaffeConfigVersion.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindOpenBLAS.cmake
              ${PROJECT_SOURCE_DIR}/cmake/FindNvidiaLibraries.cmake
        DESTINATION ${caffe_cmake_dir})
