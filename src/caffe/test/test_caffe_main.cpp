#include "caffe/test/test_caffe_main.hpp"

#include <cstdlib>

int main(int argc, char** argv) {
  // What nets log as they are built would bury the tests' own lines.
  if (!std::getenv("GLOG_minloglevel")) caffe::logging::SetMinSeverity(caffe::logging::WARNING);
  ::testing::InitGoogleTest(&argc, argv);
  caffe::GlobalInit(&argc, &argv);
  return RUN_ALL_TESTS();
}
