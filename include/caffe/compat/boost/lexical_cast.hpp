#ifndef CAFFE_COMPAT_BOOST_LEXICAL_CAST_HPP_
#define CAFFE_COMPAT_BOOST_LEXICAL_CAST_HPP_

#if __has_include_next(<boost/lexical_cast.hpp>)
#include_next <boost/lexical_cast.hpp>
#else

#include <limits>
#include <sstream>
#include <string>
#include <type_traits>
#include <typeinfo>

namespace boost {

/// What a lexical_cast throws where the text does not fit.
class bad_lexical_cast : public std::bad_cast {
 public:
  const char* what() const noexcept override { return "bad lexical cast"; }
};

/// Converts by way of text.
template <typename Target, typename Source>
Target lexical_cast(const Source& source) {
  std::stringstream text;
  text.precision(std::numeric_limits<long double>::max_digits10);
  text << source;
  if constexpr (std::is_same<Target, std::string>::value) {
    return text.str();
  } else {
    Target target;
    if (!(text >> target) || text.peek() != std::char_traits<char>::eof()) throw bad_lexical_cast();
    return target;
  }
}

}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_LEXICAL_CAST_HPP_
