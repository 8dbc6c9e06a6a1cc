#ifndef CAFFE_TEST_ENVIRONMENT_FOR_TEST_HPP_
#define CAFFE_TEST_ENVIRONMENT_FOR_TEST_HPP_

#include <cstdlib>
#include <string>

namespace caffe {

/// Sets an environment variable for as long as it lives.
class EnvironmentForTest {
 public:
  EnvironmentForTest(const char* name, const char* value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    setenv(name, value, 1);
  }
  ~EnvironmentForTest() { before_.empty() ? unsetenv(name_) : setenv(name_, before_.c_str(), 1); }

 private:
  const char* const name_;
  std::string before_;
};

}  // namespace caffe

#endif  // CAFFE_TEST_ENVIRONMENT_FOR_TEST_HPP_
