#ifndef CAFFE_COMPAT_BOOST_SCOPED_PTR_HPP_
#define CAFFE_COMPAT_BOOST_SCOPED_PTR_HPP_

#if __has_include_next(<boost/scoped_ptr.hpp>)
#include_next <boost/scoped_ptr.hpp>
#else

#include <memory>

namespace boost {

/// Owns an object for the length of a scope, and gives it to nobody.
template <typename T>
class scoped_ptr {
 public:
  typedef T element_type;

  explicit scoped_ptr(T* object = nullptr) : object_(object) {}
  scoped_ptr(const scoped_ptr&) = delete;
  scoped_ptr& operator=(const scoped_ptr&) = delete;

  void reset(T* object = nullptr) { object_.reset(object); }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_.get(); }
  T* get() const { return object_.get(); }
  explicit operator bool() const { return object_ != nullptr; }
  void swap(scoped_ptr& other) noexcept { object_.swap(other.object_); }

 private:
  std::unique_ptr<T> object_;
};

}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_SCOPED_PTR_HPP_
