#ifndef CAFFE_COMPAT_BOOST_RANDOM_VARIATE_GENERATOR_HPP_
#define CAFFE_COMPAT_BOOST_RANDOM_VARIATE_GENERATOR_HPP_

#if __has_include_next(<boost/random/variate_generator.hpp>)
#include_next <boost/random/variate_generator.hpp>
#else

#include <type_traits>

namespace boost {

/// A distribution with the generator that it draws from; Engine may be a reference or a pointer.
template <typename Engine, typename Distribution>
class variate_generator {
 public:
  typedef typename Distribution::result_type result_type;

  variate_generator(Engine engine, Distribution distribution)
      : engine_(engine), distribution_(distribution) {}
  result_type operator()() { return distribution_(generator()); }

 private:
  auto& generator() {
    if constexpr (std::is_pointer<Engine>::value) {
      return *engine_;
    } else {
      return engine_;
    }
  }

  Engine engine_;
  Distribution distribution_;
};

namespace random {
using boost::variate_generator;
}  // namespace random

}  // namespace boost

#endif  // Boost

#endif  // CAFFE_COMPAT_BOOST_RANDOM_VARIATE_GENERATOR_HPP_
