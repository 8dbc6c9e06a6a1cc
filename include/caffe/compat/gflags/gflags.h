#ifndef CAFFE_COMPAT_GFLAGS_GFLAGS_H_
#define CAFFE_COMPAT_GFLAGS_GFLAGS_H_

/// @file
/// The part of gflags' interface that programs written for Caffe use, over caffe/util/flags.hpp.
///
/// Where gflags itself was included before, it stays; where it comes later, its header finds its work done.

#ifndef GFLAGS_GFLAGS_H_
#define GFLAGS_GFLAGS_H_

#include <cstdint>
#include <cstdlib>
#include <string>

#include "caffe/util/flags.hpp"

// A flag is a variable FLAGS_name. The namespaces are gflags', so that a declaration meets its definition.
#define CAFFE_DECLARE_FLAG(type, space, name) \
  namespace space {                           \
  extern type FLAGS_##name;                   \
  }                                           \
  using space::FLAGS_##name
#define CAFFE_DEFINE_FLAG(type, space, name, value, help)                                              \
  namespace space {                                                                                    \
  type FLAGS_##name = value;                                                                           \
  static const ::caffe::flags::Registration registration_##name(#name, &FLAGS_##name, help, __FILE__); \
  }                                                                                                    \
  using space::FLAGS_##name

#define DECLARE_bool(name) CAFFE_DECLARE_FLAG(bool, fLB, name)
#define DECLARE_int32(name) CAFFE_DECLARE_FLAG(::std::int32_t, fLI, name)
#define DECLARE_uint32(name) CAFFE_DECLARE_FLAG(::std::uint32_t, fLU, name)
#define DECLARE_int64(name) CAFFE_DECLARE_FLAG(::std::int64_t, fLI64, name)
#define DECLARE_uint64(name) CAFFE_DECLARE_FLAG(::std::uint64_t, fLU64, name)
#define DECLARE_double(name) CAFFE_DECLARE_FLAG(double, fLD, name)
#define DECLARE_string(name) CAFFE_DECLARE_FLAG(::std::string, fLS, name)

#define DEFINE_bool(name, value, help) CAFFE_DEFINE_FLAG(bool, fLB, name, value, help)
#define DEFINE_int32(name, value, help) CAFFE_DEFINE_FLAG(::std::int32_t, fLI, name, value, help)
#define DEFINE_uint32(name, value, help) CAFFE_DEFINE_FLAG(::std::uint32_t, fLU, name, value, help)
#define DEFINE_int64(name, value, help) CAFFE_DEFINE_FLAG(::std::int64_t, fLI64, name, value, help)
#define DEFINE_uint64(name, value, help) CAFFE_DEFINE_FLAG(::std::uint64_t, fLU64, name, value, help)
#define DEFINE_double(name, value, help) CAFFE_DEFINE_FLAG(double, fLD, name, value, help)
#define DEFINE_string(name, value, help) CAFFE_DEFINE_FLAG(::std::string, fLS, name, value, help)

#define DEFINE_validator(name, validator) \
  static const bool validated_##name = ::gflags::RegisterFlagValidator(&FLAGS_##name, validator)

namespace gflags {
using ::caffe::flags::GetCommandLineOption;
using ::caffe::flags::ProgramInvocationShortName;
using ::caffe::flags::ProgramUsage;
using ::caffe::flags::RegisterFlagValidator;
using ::caffe::flags::SetCommandLineOption;
using ::caffe::flags::SetUsageMessage;
using ::caffe::flags::SetVersionString;
using ::caffe::flags::ShowUsageWithFlags;
using ::caffe::flags::ShowUsageWithFlagsRestrict;
using ::caffe::flags::VersionString;
using std::int32_t;
using std::int64_t;
using std::uint32_t;
using std::uint64_t;
typedef int32_t int32;
typedef int64_t int64;
typedef uint32_t uint32;
typedef uint64_t uint64;

/// Parses without acting on -help and -version.
inline uint32_t ParseCommandLineNonHelpFlags(int* argc, char*** argv, bool remove_flags) {
  return ::caffe::flags::ParseCommandLineFlags(argc, argv, remove_flags);
}

/// Ends the program where -help or -version was given and is answered.
inline void HandleCommandLineHelpFlags() {
  if (::caffe::flags::ShowRequestedHelp()) std::exit(0);
}

inline uint32_t ParseCommandLineFlags(int* argc, char*** argv, bool remove_flags) {
  const uint32_t first_other = ParseCommandLineNonHelpFlags(argc, argv, remove_flags);
  HandleCommandLineHelpFlags();
  return first_other;
}

/// Flags are released with the variables they are.
inline void ShutDownCommandLineFlags() {}
}  // namespace gflags

// The namespace of gflags before 2.0.
namespace google {
using ::gflags::GetCommandLineOption;
using ::gflags::HandleCommandLineHelpFlags;
using ::gflags::ParseCommandLineFlags;
using ::gflags::ParseCommandLineNonHelpFlags;
using ::gflags::ProgramInvocationShortName;
using ::gflags::ProgramUsage;
using ::gflags::RegisterFlagValidator;
using ::gflags::SetCommandLineOption;
using ::gflags::SetUsageMessage;
using ::gflags::SetVersionString;
using ::gflags::ShowUsageWithFlags;
using ::gflags::ShowUsageWithFlagsRestrict;
using ::gflags::ShutDownCommandLineFlags;
using ::gflags::VersionString;
}  // namespace google

#endif  // GFLAGS_GFLAGS_H_

#endif  // CAFFE_COMPAT_GFLAGS_GFLAGS_H_
