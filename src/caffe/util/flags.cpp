#include "caffe/util/flags.hpp"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <utility>
#include <vector>

#include "caffe/compat/gflags/gflags.h"
#include "caffe/util/logging.hpp"
#include "caffe/util/nearest_names.hpp"

DEFINE_bool(help, false, "show the flags");
DEFINE_bool(version, false, "show the version");

namespace caffe {
namespace flags {

namespace {

struct Flag {
  Storage value;
  std::string help;
  std::string file;
  std::string default_text;
  std::vector<std::pair<bool (*)(const std::string&, const void*, void*), void*>> validators;
};

struct Program {
  std::map<std::string, Flag> flags;
  std::string usage;
  std::string version;
  std::string name;
};

Program& TheProgram() {
  // Made on first use, as flags register themselves in no particular order, and never destroyed.
  static Program* program = new Program;
  return *program;
}

std::string TextOf(const Storage& storage) {
  return std::visit(
      [](const auto* value) -> std::string {
        using T = std::decay_t<decltype(*value)>;
        if constexpr (std::is_same_v<T, std::string>) {
          return *value;
        } else if constexpr (std::is_same_v<T, bool>) {
          return *value ? "true" : "false";
        } else if constexpr (std::is_same_v<T, double>) {
          char text[32];
          std::snprintf(text, sizeof(text), "%.17g", *value);
          return text;
        } else {
          return std::to_string(*value);
        }
      },
      storage);
}

std::string TypeName(const Storage& storage) {
  static const char* const names[] = {"bool", "int32", "uint32", "int64", "uint64", "double", "string"};
  return names[storage.index()];
}

bool ReadBool(const std::string& text, bool* value) {
  for (const char* yes : {"true", "t", "yes", "y", "1"}) {
    if (::strcasecmp(text.c_str(), yes) == 0) return *value = true;
  }
  for (const char* no : {"false", "f", "no", "n", "0"}) {
    if (::strcasecmp(text.c_str(), no) == 0) {
      *value = false;
      return true;
    }
  }
  return false;
}

template <typename Number>
bool ReadNumber(const std::string& text, Number* value) {
  const char* const end = text.data() + text.size();
  Number read{};
  const std::from_chars_result result = std::from_chars(text.data(), end, read);
  if (result.ec != std::errc() || result.ptr != end) return false;
  *value = read;
  return true;
}

// Leaves the flag alone where the text does not fit its type.
bool Read(const std::string& text, const Storage& storage) {
  return std::visit(
      [&text](auto* value) {
        using T = std::decay_t<decltype(*value)>;
        if constexpr (std::is_same_v<T, std::string>) {
          *value = text;
          return true;
        } else if constexpr (std::is_same_v<T, bool>) {
          return ReadBool(text, value);
        } else {
          return ReadNumber(text, value);
        }
      },
      storage);
}

const void* Address(const Storage& storage) {
  return std::visit([](const auto* value) -> const void* { return value; }, storage);
}

bool IsValid(const std::string& name, const Flag& flag) {
  for (const auto& validator : flag.validators) {
    if (!validator.first(name, Address(flag.value), validator.second)) return false;
  }
  return true;
}

// Sets the flag, or leaves it alone and returns false where the text does not fit.
bool Set(const std::string& name, const std::string& text, Flag* flag) {
  const std::string before = TextOf(flag->value);
  if (!Read(text, flag->value)) return false;
  if (IsValid(name, *flag)) return true;
  Read(before, flag->value);
  return false;
}

std::vector<std::string> KnownNames() {
  std::vector<std::string> names;
  for (const auto& entry : TheProgram().flags) names.push_back(entry.first);
  return names;
}

Flag* Find(const std::string& name) {
  auto& flags = TheProgram().flags;
  const auto found = flags.find(name);
  return found == flags.end() ? nullptr : &found->second;
}

// The flag that "noNAME" switches off, or null.
Flag* FindNegated(const std::string& name) {
  if (name.compare(0, 2, "no") != 0) return nullptr;
  Flag* flag = Find(name.substr(2));
  return flag && std::holds_alternative<bool*>(flag->value) ? flag : nullptr;
}

void SetOrThrow(const std::string& name, const std::string& text, Flag* flag) {
  CHECK(Set(name, text, flag)) << "'" << text << "' is no value for -" << name << " ("
                               << TypeName(flag->value) << ": " << flag->help << ")";
}

}  // namespace

Registration::Registration(const char* name, Storage value, const char* help, const char* file)
    : name_(name), value_(value) {
  TheProgram().flags[name_] = Flag{value, help, file, TextOf(value), {}};
}

Registration::~Registration() {
  const Flag* flag = Find(name_);
  if (flag && flag->value == value_) TheProgram().flags.erase(name_);
}

uint32_t ParseCommandLineFlags(int* argc, char*** argv, bool remove_flags) {
  char** const arguments = *argv;
  if (*argc > 0) TheProgram().name = arguments[0];
  std::vector<char*> flags, others;
  int i = 1;
  for (; i < *argc; ++i) {
    const std::string argument = arguments[i];
    const size_t dashes = argument.find_first_not_of('-');
    if (argument == "--") {
      flags.push_back(arguments[i++]);
      break;
    }
    // A lone dash stands for standard input.
    if (argument.empty() || dashes == 0 || dashes == std::string::npos || dashes > 2) {
      others.push_back(arguments[i]);
      continue;
    }
    flags.push_back(arguments[i]);
    const size_t equals = argument.find('=');
    const std::string name = argument.substr(dashes, equals == std::string::npos ? equals : equals - dashes);
    Flag* flag = Find(name);
    if (equals != std::string::npos && flag) {
      SetOrThrow(name, argument.substr(equals + 1), flag);
    } else if (flag && std::holds_alternative<bool*>(flag->value)) {
      SetOrThrow(name, "true", flag);
    } else if (flag) {
      CHECK_LT(i + 1, *argc) << "-" << name << " needs a value (" << TypeName(flag->value) << ": "
                             << flag->help << ")";
      flags.push_back(arguments[++i]);
      SetOrThrow(name, arguments[i], flag);
    } else if (Flag* negated = equals == std::string::npos ? FindNegated(name) : nullptr) {
      SetOrThrow(name.substr(2), "false", negated);
    } else {
      throw Error(UnknownName("flag", name, KnownNames()));
    }
  }
  for (; i < *argc; ++i) others.push_back(arguments[i]);

  char** next = arguments + 1;
  if (!remove_flags) {
    for (char* flag : flags) *next++ = flag;
  }
  const uint32_t first_other = static_cast<uint32_t>(next - arguments);
  for (char* other : others) *next++ = other;
  if (remove_flags) *argc = static_cast<int>(next - arguments);
  return first_other;
}

void SetUsageMessage(const std::string& usage) { TheProgram().usage = usage; }

const char* ProgramUsage() { return TheProgram().usage.c_str(); }

void SetVersionString(const std::string& version) { TheProgram().version = version; }

const char* VersionString() { return TheProgram().version.c_str(); }

const char* ProgramInvocationShortName() {
  const std::string& name = TheProgram().name;
  const size_t slash = name.rfind('/');
  return name.c_str() + (slash == std::string::npos ? 0 : slash + 1);
}

void ShowUsageWithFlags(const char* argv0) { ShowUsageWithFlagsRestrict(argv0, ""); }

void ShowUsageWithFlagsRestrict(const char* argv0, const char* restrict_to) {
  const char* slash = std::strrchr(argv0, '/');
  std::printf("%s: %s\n", slash ? slash + 1 : argv0, ProgramUsage());
  for (const auto& [name, flag] : TheProgram().flags) {
    if (flag.file.find(restrict_to) == std::string::npos) continue;
    std::printf("  -%s (%s) type: %s default: %s\n", name.c_str(), flag.help.c_str(),
                TypeName(flag.value).c_str(), flag.default_text.c_str());
  }
}

bool ShowRequestedHelp() {
  if (FLAGS_help) ShowUsageWithFlags(TheProgram().name.c_str());
  if (FLAGS_version) std::printf("%s version %s\n", ProgramInvocationShortName(), VersionString());
  return FLAGS_help || FLAGS_version;
}

bool GetCommandLineOption(const char* name, std::string* value) {
  const Flag* flag = Find(name);
  if (flag) *value = TextOf(flag->value);
  return flag != nullptr;
}

std::string SetCommandLineOption(const char* name, const char* value) {
  Flag* flag = Find(name);
  if (!flag || !Set(name, value, flag)) return "";
  return std::string(name) + " set to " + TextOf(flag->value) + "\n";
}

bool internal::AddValidator(const void* address, bool (*validate)(const std::string&, const void*, void*),
                            void* test) {
  for (auto& entry : TheProgram().flags) {
    if (Address(entry.second.value) == address) {
      entry.second.validators.emplace_back(validate, test);
      return true;
    }
  }
  return false;
}

}  // namespace flags
}  // namespace caffe
