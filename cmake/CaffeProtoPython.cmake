# The Python messages, caffe/proto/caffe_pb2.py, made of the one schema by the protoc that makes the C++ ones.
# They go into the source tree's package, so that `import caffe` works from a checkout.
set(caffe_pb2_file ${PROJECT_SOURCE_DIR}/caffe/proto/caffe_pb2.py)
add_custom_command(
  OUTPUT ${caffe_pb2_file}
  COMMAND protobuf::protoc --python_out=${PROJECT_SOURCE_DIR}/caffe/proto
          -I${PROJECT_SOURCE_DIR}/src/caffe/proto ${PROJECT_SOURCE_DIR}/src/caffe/proto/caffe.proto
  DEPENDS ${PROJECT_SOURCE_DIR}/src/caffe/proto/caffe.proto
  COMMENT "Generating caffe_pb2.py"
  VERBATIM)
add_custom_target(caffe_pb2 ALL DEPENDS ${caffe_pb2_file})
install(FILES ${caffe_pb2_file} DESTINATION caffe/proto COMPONENT python EXCLUDE_FROM_ALL)
