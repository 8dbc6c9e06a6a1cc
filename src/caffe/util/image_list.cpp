#include "caffe/util/image_list.hpp"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <string>
#include <system_error>

namespace caffe {

namespace {

constexpr char kBlank[] = " \t\r";

/// "NAME LABEL", where the name may have blanks within. False where the line is not that.
bool ParseLine(const string& line, string* name, int* label) {
  const size_t label_end = line.find_last_not_of(kBlank);
  const size_t label_start = line.find_last_of(kBlank, label_end) + 1;
  if (label_end == string::npos || label_start == 0) return false;
  const size_t name_end = line.find_last_not_of(kBlank, label_start - 1);
  if (name_end == string::npos) return false;
  const string number = line.substr(label_start, label_end + 1 - label_start);
  char* parsed;
  errno = 0;
  const long value = std::strtol(number.c_str(), &parsed, 10);
  if (*parsed != '\0' || errno != 0 || value < INT_MIN || value > INT_MAX) return false;
  *name = line.substr(0, name_end + 1);
  *label = static_cast<int>(value);
  return true;
}

}  // namespace

void ReadImageList(const string& source,
                   const std::function<bool(int number, const string& name, int label)>& use) {
  errno = 0;
  std::ifstream list(source);
  const auto fail = [&source](const string& what) { throw Error(what, "", "", source); };
  if (!list)
    fail("cannot read the list of images '" + source + "': " + std::generic_category().message(errno));
  string line, name;
  int label;
  for (int number = 1; std::getline(list, line); ++number) {
    if (line.find_first_not_of(kBlank) == string::npos) continue;
    if (!ParseLine(line, &name, &label)) {
      fail(source + ":" + std::to_string(number) +
           ": a line is a file name, a blank and an integer label; this is '" + line.substr(0, 100) + "'");
    }
    if (!use(number, name, label)) return;
  }
  // A folder can be opened, but not read.
  if (list.bad()) fail("cannot read the list of images '" + source + "': is it a file?");
}

}  // namespace caffe
