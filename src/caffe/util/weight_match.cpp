#include "caffe/util/weight_match.hpp"

#include <algorithm>
#include <iomanip>
#include <sstream>

namespace caffe {

namespace {

const char* TextOf(WeightMatch::Outcome outcome) {
  switch (outcome) {
    case WeightMatch::MATCHED:
      return "matched";
    case WeightMatch::DIFFERS:
      return "differ";
    case WeightMatch::MISSING:
      return "missing";
    default:
      return "left over";
  }
}

}  // namespace

void WeightMatch::Add(Outcome outcome, const string& layer, const string& type, const string& shapes) {
  lines_.push_back({outcome, layer, type, shapes});
}

int WeightMatch::Count(Outcome outcome) const {
  return static_cast<int>(
      std::count_if(lines_.begin(), lines_.end(), [=](const Line& line) { return line.outcome == outcome; }));
}

bool WeightMatch::Has(const string& layer) const {
  return std::any_of(lines_.begin(), lines_.end(), [&](const Line& line) { return line.layer == layer; });
}

string WeightMatch::Table() const {
  std::ostringstream text;
  const char* between = "";
  size_t name_width = 0, type_width = 0;
  for (const Outcome outcome : {MATCHED, DIFFERS, MISSING, LEFT_OVER}) {
    text << between << Count(outcome) << " " << TextOf(outcome);
    between = ", ";
  }
  for (const Line& line : lines_) {
    name_width = std::max(name_width, line.layer.size());
    type_width = std::max(type_width, line.type.size());
  }
  text << std::left;
  for (const Line& line : lines_) {
    text << "\n  " << std::setw(9) << TextOf(line.outcome) << "  " << std::setw(static_cast<int>(name_width))
         << line.layer << "  " << std::setw(static_cast<int>(type_width)) << line.type << "  " << line.shapes;
  }
  return text.str();
}

string WeightMatch::Names(Outcome outcome) const {
  string names;
  for (const Line& line : lines_) {
    if (line.outcome == outcome) names += (names.empty() ? "" : ", ") + line.layer;
  }
  return names;
}

}  // namespace caffe
