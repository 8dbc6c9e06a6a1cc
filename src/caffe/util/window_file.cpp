#include "caffe/util/window_file.hpp"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

namespace caffe {

namespace {

/// Windows are kept as floats, which hold whole numbers up to this one.
constexpr int kFarthest = 1 << 24;

/// Hands out the words of a file, and knows their lines.
class Words {
 public:
  explicit Words(const string& source) : source_(source) {
    errno = 0;
    file_.open(source);
    if (!file_) {
      throw Error("cannot read the window file '" + source + "': " + std::generic_category().message(errno),
                  "", "", source);
    }
  }

  int line() const { return line_; }

  /// The next word; false at the end of the file.
  bool Next(string* word) {
    while (!(words_ >> *word)) {
      string line;
      if (!std::getline(file_, line)) {
        // A folder can be opened, but not read.
        if (file_.bad()) Fail("cannot be read: is it a file?");
        return false;
      }
      ++line_;
      words_.clear();
      words_.str(line);
    }
    return true;
  }

  string Text(const char* what) {
    string word;
    if (!Next(&word)) Fail(string("the file ends where ") + what + " is expected");
    return word;
  }

  /// A whole number of least to most.
  int Integer(const char* what, int least, int most = INT_MAX) {
    const string word = Text(what);
    char* end;
    errno = 0;
    const long value = std::strtol(word.c_str(), &end, 10);
    if (*end != '\0' || errno != 0 || value < least || value > most) {
      Fail(string(what) + " is expected, a whole number" +
           (least > INT_MIN ? " from " + std::to_string(least) : "") +
           (most < INT_MAX ? " to " + std::to_string(most) : "") + "; this is '" + word.substr(0, 100) + "'");
    }
    return static_cast<int>(value);
  }

  float Number(const char* what) {
    const string word = Text(what);
    char* end;
    const float value = std::strtof(word.c_str(), &end);
    // Also false for what is no number.
    if (*end != '\0' || !(value >= -1e6f && value <= 1e6f)) {
      Fail(string(what) + " is expected, a number; this is '" + word.substr(0, 100) + "'");
    }
    return value;
  }

  [[noreturn]] void Fail(const string& what) const {
    throw Error(source_ + ":" + std::to_string(line_) + ": " + what, "", "", source_);
  }

 private:
  string source_;
  std::ifstream file_;
  std::istringstream words_;
  int line_ = 0;
};

ImageWindow ReadWindow(Words* words) {
  ImageWindow window;
  window.label = words->Integer("the class of a window", INT_MIN);
  window.line = words->line();
  window.overlap = words->Number("the overlap of a window");
  window.x1 = words->Integer("x1 of a window", -kFarthest, kFarthest);
  window.y1 = words->Integer("y1 of a window", -kFarthest, kFarthest);
  window.x2 = words->Integer("x2 of a window", -kFarthest, kFarthest);
  window.y2 = words->Integer("y2 of a window", -kFarthest, kFarthest);
  if (window.x2 < window.x1 || window.y2 < window.y1) {
    words->Fail("a window ends before it starts: x1 y1 x2 y2 are " + std::to_string(window.x1) + " " +
                std::to_string(window.y1) + " " + std::to_string(window.x2) + " " +
                std::to_string(window.y2));
  }
  return window;
}

}  // namespace

void ReadWindowFile(const string& source, const std::function<void(const WindowImage& image)>& use) {
  Words words(source);
  string hash;
  while (words.Next(&hash)) {
    if (hash != "#") {
      words.Fail("'# INDEX' is expected, which starts an image; this is '" + hash.substr(0, 100) + "'");
    }
    words.Integer("the index of an image", 0);
    WindowImage image;
    image.name = words.Text("the file of an image");
    image.shape.channels = words.Integer("the number of channels", 1);
    image.shape.height = words.Integer("the height of the image", 1);
    image.shape.width = words.Integer("the width of the image", 1);
    const int windows = words.Integer("the number of windows", 0);
    for (int i = 0; i < windows; ++i) image.windows.push_back(ReadWindow(&words));
    use(image);
  }
}

}  // namespace caffe
