#ifndef CAFFE_COMPAT_BOOST_DATE_TIME_POSIX_TIME_POSIX_TIME_HPP_
#define CAFFE_COMPAT_BOOST_DATE_TIME_POSIX_TIME_POSIX_TIME_HPP_

#if __has_include_next(<boost/date_time/posix_time/posix_time.hpp>)
#include_next <boost/date_time/posix_time/posix_time.hpp>
#else

#include <chrono>

namespace boost {
namespace posix_time {

/// A span of time.
class time_duration : public std::chrono::microseconds {
 public:
  time_duration() : std::chrono::microseconds(0) {}
  template <typename Rep, typename Period>
  time_duration(const std::chrono::duration<Rep, Period>& span)  // NOLINT(runtime/explicit)
      : std::chrono::microseconds(std::chrono::duration_cast<std::chrono::microseconds>(span)) {}
  long total_microseconds() const { return static_cast<long>(count()); }
  long total_milliseconds() const { return static_cast<long>(count() / 1000); }
  long total_seconds() const { return static_cast<long>(count() / 1000000); }
};

inline time_duration microseconds(long n) { return std::chrono::microseconds(n); }
inline time_duration milliseconds(long n) { return std::chrono::milliseconds(n); }
inline time_duration seconds(long n) { return std::chrono::seconds(n); }

/// A moment.
class ptime {
 public:
  ptime() = default;
  explicit ptime(std::chrono::system_clock::time_point moment) : moment_(moment) {}
  friend time_duration operator-(const ptime& end, const ptime& start) { return end.moment_ - start.moment_; }
  friend bool operator<(const ptime& a, const ptime& b) { return a.moment_ < b.moment_; }

 private:
  std::chrono::system_clock::time_point moment_;
};

/// The clock, to the microsecond.
struct microsec_clock {
  static ptime local_time() { return ptime(std::chrono::system_clock::now()); }
  static ptime universal_time() { return local_time(); }
};

}  // namespace posix_time
}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_DATE_TIME_POSIX_TIME_POSIX_TIME_HPP_
