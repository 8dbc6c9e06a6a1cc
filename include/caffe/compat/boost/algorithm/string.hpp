#ifndef CAFFE_COMPAT_BOOST_ALGORITHM_STRING_HPP_
#define CAFFE_COMPAT_BOOST_ALGORITHM_STRING_HPP_

#if __has_include_next(<boost/algorithm/string.hpp>)
#include_next <boost/algorithm/string.hpp>
#else

#include <algorithm>
#include <cctype>
#include <string>

#include <boost/lexical_cast.hpp>

namespace boost {

/// Tells whether a character is one of those given.
inline auto is_any_of(const std::string& characters) {
  return [characters](char c) { return characters.find(c) != std::string::npos; };
}
inline auto is_space() {
  return [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
}

namespace algorithm {
enum token_compress_mode_type { token_compress_on, token_compress_off };
}  // namespace algorithm
using algorithm::token_compress_mode_type;
using algorithm::token_compress_off;
using algorithm::token_compress_on;

/// The parts of `text` between characters for which `separates` holds, empty ones included; neighbouring
/// separators count as one with token_compress_on.
template <typename Strings, typename Predicate>
Strings& split(Strings& parts, const std::string& text, Predicate separates,
               token_compress_mode_type compress = token_compress_off) {
  parts.clear();
  std::string part;
  bool after_separator = false;
  for (const char c : text) {
    if (!separates(c)) {
      part += c;
      after_separator = false;
    } else if (!after_separator || compress == token_compress_off) {
      parts.insert(parts.end(), part);
      part.clear();
      after_separator = true;
    }
  }
  parts.insert(parts.end(), part);
  return parts;
}

template <typename Strings>
std::string join(const Strings& parts, const std::string& separator) {
  std::string text;
  bool first = true;
  for (const auto& part : parts) {
    if (!first) text += separator;
    text += part;
    first = false;
  }
  return text;
}

template <typename Predicate>
void trim_left_if(std::string& text, Predicate goes) {
  text.erase(text.begin(), std::find_if_not(text.begin(), text.end(), goes));
}
template <typename Predicate>
void trim_right_if(std::string& text, Predicate goes) {
  text.erase(std::find_if_not(text.rbegin(), text.rend(), goes).base(), text.end());
}
template <typename Predicate>
void trim_if(std::string& text, Predicate goes) {
  trim_right_if(text, goes);
  trim_left_if(text, goes);
}
inline void trim(std::string& text) { trim_if(text, is_space()); }
inline void trim_left(std::string& text) { trim_left_if(text, is_space()); }
inline void trim_right(std::string& text) { trim_right_if(text, is_space()); }
inline std::string trim_copy(std::string text) {
  trim(text);
  return text;
}

inline void to_lower(std::string& text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
}
inline void to_upper(std::string& text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
}
inline std::string to_lower_copy(std::string text) {
  to_lower(text);
  return text;
}
inline std::string to_upper_copy(std::string text) {
  to_upper(text);
  return text;
}

inline bool starts_with(const std::string& text, const std::string& start) {
  return text.compare(0, start.size(), start) == 0;
}
inline bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}
inline bool iequals(const std::string& a, const std::string& b) {
  return to_lower_copy(a) == to_lower_copy(b);
}

inline void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (size_t at = text.find(from); !from.empty() && at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

namespace algorithm {
using boost::ends_with;
using boost::iequals;
using boost::is_any_of;
using boost::is_space;
using boost::join;
using boost::replace_all;
using boost::split;
using boost::starts_with;
using boost::to_lower;
using boost::to_lower_copy;
using boost::to_upper;
using boost::to_upper_copy;
using boost::trim;
using boost::trim_copy;
using boost::trim_left;
using boost::trim_right;
}  // namespace algorithm

}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_ALGORITHM_STRING_HPP_
