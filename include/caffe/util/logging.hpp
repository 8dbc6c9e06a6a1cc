#ifndef CAFFE_UTIL_LOGGING_HPP_
#define CAFFE_UTIL_LOGGING_HPP_

#include <strings.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace caffe {

/**
 * @brief The one exception of the library. Every failed CHECK and every LOG(FATAL) throws it.
 *
 * what() reads "layer 'conv1' (Convolution): MESSAGE", or the bare message where no layer is concerned.
 */
class Error : public std::runtime_error {
 public:
  explicit Error(const std::string& message, const std::string& layer_name = "",
                 const std::string& layer_type = "", const std::string& file = "");

  const std::string& message() const { return message_; }
  /// Name of the layer at fault; empty where no layer is concerned.
  const std::string& layer_name() const { return layer_name_; }
  const std::string& layer_type() const { return layer_type_; }
  /// The user's file (prototxt, weights, database) at fault; empty where unknown.
  const std::string& file() const { return file_; }

  /// The same error naming a layer; an error that already names one is returned unchanged.
  Error WithLayer(const std::string& name, const std::string& type) const;
  /// The same error naming the user's file; an error that already names one is returned unchanged.
  Error WithFile(const std::string& file) const;

 private:
  std::string message_;
  std::string layer_name_;
  std::string layer_type_;
  std::string file_;
};

namespace logging {

enum Severity { INFO = 0, WARNING = 1, ERROR = 2, FATAL = 3 };

/// Fatal in a debug build, an error that is logged in a release.
#ifdef NDEBUG
constexpr Severity DFATAL = ERROR;
#else
constexpr Severity DFATAL = FATAL;
#endif

/// Receives finished log lines: severity, the line with its prefix, and the bare message. Each thread that
/// logs calls it, several at once.
using Sink = std::function<void(Severity, const std::string& line, const std::string& message)>;

/// Lines below `severity` are dropped. Starts at the environment's GLOG_minloglevel (0 when unset).
void SetMinSeverity(int severity);
int MinSeverity();

/// Verbosity up to which VLOG lines are written. Starts at the environment's GLOG_v (0 when unset).
int Verbosity();

/// Replaces the destination of log lines (standard error by default); an empty sink restores it.
void SetSink(Sink sink);

/// Writes one line through the sink, and to the log's file where there is one (log_file.hpp):
/// "I0102 15:04:05.123456 pid file.cpp:42] message".
void Write(Severity severity, const char* file, int line, const std::string& message);

/// Collects one streamed message.
class Message : public std::ostringstream {
 public:
  Message(Severity severity, const char* file, int line) : severity_(severity), file_(file), line_(line) {}
  std::ostream& stream() { return *this; }
  Severity severity() const { return severity_; }
  const char* file() const { return file_; }
  int line() const { return line_; }

 private:
  Severity severity_;
  const char* file_;
  int line_;
};

// `&` binds weaker than `<<` and stronger than `?:`, so these act once the whole message is streamed,
// and the statement may stand in a conditional expression. The error is thrown from an operator and not
// from a destructor, where a second exception would end the process.
struct Writer {
  void operator&(std::ostream& message) const;
};
struct Thrower {
  [[noreturn]] void operator&(std::ostream& message) const;
};

template <Severity severity>
using Finisher = std::conditional_t<severity == FATAL, Thrower, Writer>;

// Values of a comparison. Numbers are taken by value, so that a class's static constant may be compared
// although it has no definition.
template <typename T>
const T& ComparedValue(const T& value) {
  return value;
}
#define CAFFE_COMPARED_BY_VALUE(type) \
  inline type ComparedValue(type value) { return value; }
CAFFE_COMPARED_BY_VALUE(bool)
CAFFE_COMPARED_BY_VALUE(char)
CAFFE_COMPARED_BY_VALUE(signed char)
CAFFE_COMPARED_BY_VALUE(unsigned char)
CAFFE_COMPARED_BY_VALUE(short)
CAFFE_COMPARED_BY_VALUE(unsigned short)
CAFFE_COMPARED_BY_VALUE(int)
CAFFE_COMPARED_BY_VALUE(unsigned int)
CAFFE_COMPARED_BY_VALUE(long)
CAFFE_COMPARED_BY_VALUE(unsigned long)
CAFFE_COMPARED_BY_VALUE(long long)
CAFFE_COMPARED_BY_VALUE(unsigned long long)
#undef CAFFE_COMPARED_BY_VALUE

/// Text of a failed comparison with both values, or null where it held.
template <typename A, typename B>
std::unique_ptr<std::string> CheckFailure(const A& a, const B& b, const char* text) {
  std::ostringstream message;
  message << "Check failed: " << text << " (" << a << " vs. " << b << ") ";
  return std::make_unique<std::string>(message.str());
}

#define CAFFE_DEFINE_CHECK_OP(name, op)                                                       \
  template <typename A, typename B>                                                           \
  inline std::unique_ptr<std::string> Check##name(const A& a, const B& b, const char* text) { \
    if (__builtin_expect(static_cast<bool>(a op b), 1)) return nullptr;                       \
    return CheckFailure(a, b, text);                                                          \
  }
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
CAFFE_DEFINE_CHECK_OP(EQ, ==)
CAFFE_DEFINE_CHECK_OP(NE, !=)
CAFFE_DEFINE_CHECK_OP(LE, <=)
CAFFE_DEFINE_CHECK_OP(LT, <)
CAFFE_DEFINE_CHECK_OP(GE, >=)
CAFFE_DEFINE_CHECK_OP(GT, >)
#pragma GCC diagnostic pop
#undef CAFFE_DEFINE_CHECK_OP

template <typename T>
T CheckNotNull(const char* file, int line, const char* text, T&& pointer) {
  if (pointer == nullptr) {
    Thrower() & (Message(FATAL, file, line).stream() << "Check failed: '" << text << "' must not be null");
  }
  return std::forward<T>(pointer);
}

}  // namespace logging
}  // namespace caffe

// A logging library that was included before has other macros of these names; here failures must throw.
#undef LOG
#undef LOG_IF
#undef LOG_EVERY_N
#undef LOG_IF_EVERY_N
#undef LOG_FIRST_N
#undef LOG_ASSERT
#undef DLOG
#undef DLOG_IF
#undef DLOG_EVERY_N
#undef PLOG
#undef PLOG_IF
#undef VLOG
#undef VLOG_IF
#undef VLOG_EVERY_N
#undef VLOG_IS_ON
#undef CHECK
#undef PCHECK
#undef CHECK_EQ
#undef CHECK_NE
#undef CHECK_LE
#undef CHECK_LT
#undef CHECK_GE
#undef CHECK_GT
#undef CHECK_NOTNULL
#undef CHECK_STREQ
#undef CHECK_STRNE
#undef CHECK_STRCASEEQ
#undef CHECK_STRCASENE
#undef CHECK_INDEX
#undef CHECK_BOUND
#undef CHECK_DOUBLE_EQ
#undef CHECK_NEAR
#undef DCHECK
#undef DCHECK_EQ
#undef DCHECK_NE
#undef DCHECK_LE
#undef DCHECK_LT
#undef DCHECK_GE
#undef DCHECK_GT
#undef DCHECK_NOTNULL
#undef DCHECK_STREQ
#undef DCHECK_STRNE
#undef DCHECK_STRCASEEQ
#undef DCHECK_STRCASENE

#define CAFFE_LOG_MESSAGE(severity) \
  ::caffe::logging::Message(::caffe::logging::severity, __FILE__, __LINE__).stream()

#define LOG(severity) ::caffe::logging::Finisher<::caffe::logging::severity>() & CAFFE_LOG_MESSAGE(severity)
#define LOG_IF(severity, condition) !(condition) ? (void)0 : LOG(severity)
#define LOG_ASSERT(condition) CHECK(condition)

// True where `test` holds of `count`, the number of times that the statement was reached.
#define CAFFE_COUNTED(test)                    \
  ([]() -> bool {                              \
    static ::std::atomic<long> occurrences{0}; \
    const long count = ++occurrences;          \
    return test;                               \
  }())
#define LOG_EVERY_N(severity, n) LOG_IF(severity, CAFFE_COUNTED((count - 1) % (n) == 0))
#define LOG_FIRST_N(severity, n) LOG_IF(severity, CAFFE_COUNTED(count <= (n)))
#define LOG_IF_EVERY_N(severity, condition, n) \
  LOG_IF(severity, (condition) && CAFFE_COUNTED((count - 1) % (n) == 0))

// With the system's words for errno.
#define CAFFE_ERRNO_TEXT ::std::generic_category().message(errno) << ": "
#define PLOG(severity) LOG(severity) << CAFFE_ERRNO_TEXT
#define PLOG_IF(severity, condition) LOG_IF(severity, condition) << CAFFE_ERRNO_TEXT

#define VLOG_IS_ON(level) (::caffe::logging::Verbosity() >= (level))
#define VLOG(level) LOG_IF(INFO, VLOG_IS_ON(level))
#define VLOG_IF(level, condition) LOG_IF(INFO, VLOG_IS_ON(level) && (condition))
#define VLOG_EVERY_N(level, n) LOG_IF_EVERY_N(INFO, VLOG_IS_ON(level), n)

#define CHECK(condition) \
  __builtin_expect(static_cast<bool>(condition), 1) ? (void)0 : LOG(FATAL) << "Check failed: " #condition " "
#define PCHECK(condition) CHECK(condition) << CAFFE_ERRNO_TEXT

// The loop runs at most once: its body throws.
#define CAFFE_CHECK_OP(name, op, a, b)                                                                   \
  while (auto caffe_check_failure = ::caffe::logging::Check##name(                                       \
             ::caffe::logging::ComparedValue(a), ::caffe::logging::ComparedValue(b), #a " " #op " " #b)) \
  LOG(FATAL) << *caffe_check_failure
#define CHECK_EQ(a, b) CAFFE_CHECK_OP(EQ, ==, a, b)
#define CHECK_NE(a, b) CAFFE_CHECK_OP(NE, !=, a, b)
#define CHECK_LE(a, b) CAFFE_CHECK_OP(LE, <=, a, b)
#define CHECK_LT(a, b) CAFFE_CHECK_OP(LT, <, a, b)
#define CHECK_GE(a, b) CAFFE_CHECK_OP(GE, >=, a, b)
#define CHECK_GT(a, b) CAFFE_CHECK_OP(GT, >, a, b)
#define CHECK_NOTNULL(pointer) ::caffe::logging::CheckNotNull(__FILE__, __LINE__, #pointer, (pointer))

#define CHECK_STREQ(a, b) CHECK_EQ(::std::string(a), ::std::string(b))
#define CHECK_STRNE(a, b) CHECK_NE(::std::string(a), ::std::string(b))
#define CAFFE_CHECK_STRCASE(op, a, b) \
  CHECK(::strcasecmp((a), (b)) op 0) << "(" << (a) << " vs. " << (b) << ", case ignored) "
#define CHECK_STRCASEEQ(a, b) CAFFE_CHECK_STRCASE(==, a, b)
#define CHECK_STRCASENE(a, b) CAFFE_CHECK_STRCASE(!=, a, b)

#define CHECK_INDEX(i, container) CHECK((i) < (container).size())
#define CHECK_BOUND(b, container) CHECK((b) <= (container).size())
#define CHECK_NEAR(a, b, margin) \
  CHECK((a) >= (b) - (margin) && (a) <= (b) + (margin)) << #a " and " #b " differ "
/// Within 1e-15, as glog has it.
#define CHECK_DOUBLE_EQ(a, b) CHECK_NEAR(a, b, 1e-15)

#ifdef NDEBUG
#define CAFFE_DEBUG_ONLY(statement) \
  while (false) statement
#define DCHECK_NOTNULL(pointer) (pointer)
#else
#define CAFFE_DEBUG_ONLY(statement) statement
#define DCHECK_NOTNULL(pointer) CHECK_NOTNULL(pointer)
#endif
#define DLOG(severity) CAFFE_DEBUG_ONLY(LOG(severity))
#define DLOG_IF(severity, condition) CAFFE_DEBUG_ONLY(LOG_IF(severity, condition))
#define DLOG_EVERY_N(severity, n) CAFFE_DEBUG_ONLY(LOG_EVERY_N(severity, n))
#define DCHECK(condition) CAFFE_DEBUG_ONLY(CHECK(condition))
#define DCHECK_EQ(a, b) CAFFE_DEBUG_ONLY(CHECK_EQ(a, b))
#define DCHECK_NE(a, b) CAFFE_DEBUG_ONLY(CHECK_NE(a, b))
#define DCHECK_LE(a, b) CAFFE_DEBUG_ONLY(CHECK_LE(a, b))
#define DCHECK_LT(a, b) CAFFE_DEBUG_ONLY(CHECK_LT(a, b))
#define DCHECK_GE(a, b) CAFFE_DEBUG_ONLY(CHECK_GE(a, b))
#define DCHECK_GT(a, b) CAFFE_DEBUG_ONLY(CHECK_GT(a, b))
#define DCHECK_STREQ(a, b) CAFFE_DEBUG_ONLY(CHECK_STREQ(a, b))
#define DCHECK_STRNE(a, b) CAFFE_DEBUG_ONLY(CHECK_STRNE(a, b))
#define DCHECK_STRCASEEQ(a, b) CAFFE_DEBUG_ONLY(CHECK_STRCASEEQ(a, b))
#define DCHECK_STRCASENE(a, b) CAFFE_DEBUG_ONLY(CHECK_STRCASENE(a, b))

#endif  // CAFFE_UTIL_LOGGING_HPP_
