#ifndef CAFFE_UTIL_FLAGS_HPP_
#define CAFFE_UTIL_FLAGS_HPP_

#include <cstdint>
#include <string>
#include <type_traits>
#include <variant>

namespace caffe {

/// Flags of the command line, as programs written for Caffe define them (see caffe/compat/gflags/gflags.h).
namespace flags {

/// Where a flag's value lives; the type says how its text is read.
using Storage = std::variant<bool*, int32_t*, uint32_t*, int64_t*, uint64_t*, double*, std::string*>;

/// Makes a variable a flag for as long as it lives.
class Registration {
 public:
  Registration(const char* name, Storage value, const char* help, const char* file);
  ~Registration();
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;

 private:
  std::string name_;
  Storage value_;
};

/**
 * @brief Sets flags from the command line: -name=value, -name value, -name and -noname for booleans; one dash
 * or two. Everything after a lone "--" is no flag.
 *
 * With remove_flags argv keeps the program's name and what is no flag, in order; else the flags are moved to
 * the front.
 * @return the index in argv of the first argument that is no flag.
 * @throws caffe::Error for an unknown flag, naming the nearest known ones, and for a value that does not fit.
 */
uint32_t ParseCommandLineFlags(int* argc, char*** argv, bool remove_flags);

void SetUsageMessage(const std::string& usage);
const char* ProgramUsage();
void SetVersionString(const std::string& version);
const char* VersionString();
/// The program's name as it was called; empty before ParseCommandLineFlags.
const char* ProgramInvocationShortName();

/// Prints the usage and all flags to standard output.
void ShowUsageWithFlags(const char* argv0);
/// The same, with the flags of those source files alone whose path contains `restrict_to`.
void ShowUsageWithFlagsRestrict(const char* argv0, const char* restrict_to);

/// Prints what -help or -version asked for. @return whether one of them was given.
bool ShowRequestedHelp();

/// A flag's value as text. @return false for an unknown flag.
bool GetCommandLineOption(const char* name, std::string* value);
/// Sets a flag from text. @return what was set, or an empty string for an unknown flag or a wrong value.
std::string SetCommandLineOption(const char* name, const char* value);

namespace internal {
bool AddValidator(const void* flag, bool (*validate)(const std::string& name, const void* flag, void* test),
                  void* test);
}  // namespace internal

/// Lets a function refuse values: ParseCommandLineFlags then throws. @return false for what is no flag.
template <typename T>
bool RegisterFlagValidator(const T* flag, bool (*validate)(const char* name, T value)) {
  return internal::AddValidator(
      flag,
      [](const std::string& name, const void* value, void* test) {
        return reinterpret_cast<bool (*)(const char*, T)>(test)(name.c_str(), *static_cast<const T*>(value));
      },
      reinterpret_cast<void*>(validate));
}

/// The same for strings, which validators take by reference.
inline bool RegisterFlagValidator(const std::string* flag,
                                  bool (*validate)(const char* name, const std::string& value)) {
  return internal::AddValidator(
      flag,
      [](const std::string& name, const void* value, void* test) {
        return reinterpret_cast<bool (*)(const char*, const std::string&)>(test)(
            name.c_str(), *static_cast<const std::string*>(value));
      },
      reinterpret_cast<void*>(validate));
}

}  // namespace flags
}  // namespace caffe

#endif  // CAFFE_UTIL_FLAGS_HPP_
