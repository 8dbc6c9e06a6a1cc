#include "caffe/util/nearest_names.hpp"

#include <algorithm>
#include <cctype>
#include <numeric>
#include <utility>

namespace caffe {

namespace {

std::string LowerCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

// Levenshtein distance, one row at a time.
size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string> NearestNames(const std::string& name, const std::vector<std::string>& known,
                                      int most) {
  const std::string wanted = LowerCase(name);
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const std::string& candidate : known) {
    const std::string lower = LowerCase(candidate);
    size_t distance = EditDistance(wanted, lower);
    // One name being a part of the other ("Conv", "Convolution") is as good as a slip of the pen.
    const bool contained =
        !wanted.empty() && std::min(wanted.size(), lower.size()) >= 3 &&
        (lower.find(wanted) != std::string::npos || wanted.find(lower) != std::string::npos);
    if (contained) distance = std::min<size_t>(distance, 2);
    if (distance <= std::max<size_t>(2, wanted.size() / 3)) ranked.emplace_back(distance, candidate);
  }
  std::sort(ranked.begin(), ranked.end());
  std::vector<std::string> names;
  for (size_t i = 0; i < ranked.size() && i < static_cast<size_t>(most); ++i)
    names.push_back(ranked[i].second);
  return names;
}

std::string DidYouMean(const std::string& name, const std::vector<std::string>& known) {
  const std::vector<std::string> names = NearestNames(name, known);
  if (names.empty()) return "";
  std::string text = " (did you mean ";
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 < names.size() ? ", " : " or ";
    text += "'" + names[i] + "'";
  }
  return text + "?)";
}

std::string UnknownName(const std::string& kind, const std::string& name,
                        const std::vector<std::string>& known) {
  std::string list;
  for (const std::string& candidate : known) list += (list.empty() ? "" : ", ") + candidate;
  return "unknown " + kind + " '" + name + "'" + DidYouMean(name, known) + "; known " + kind + "s: " + list;
}

}  // namespace caffe
