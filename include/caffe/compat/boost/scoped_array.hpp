#ifndef CAFFE_COMPAT_BOOST_SCOPED_ARRAY_HPP_
#define CAFFE_COMPAT_BOOST_SCOPED_ARRAY_HPP_

#if __has_include_next(<boost/scoped_array.hpp>)
#include_next <boost/scoped_array.hpp>
#else

#include <cstddef>
#include <memory>

namespace boost {

/// Owns an array for the length of a scope, and gives it to nobody.
template <typename T>
class scoped_array {
 public:
  explicit scoped_array(T* array = nullptr) : array_(array) {}
  scoped_array(const scoped_array&) = delete;
  scoped_array& operator=(const scoped_array&) = delete;

  void reset(T* array = nullptr) { array_.reset(array); }
  T& operator[](std::ptrdiff_t i) const { return array_[i]; }
  T* get() const { return array_.get(); }

 private:
  std::unique_ptr<T[]> array_;
};

}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_SCOPED_ARRAY_HPP_
