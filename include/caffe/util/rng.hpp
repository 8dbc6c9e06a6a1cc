#ifndef CAFFE_UTIL_RNG_HPP_
#define CAFFE_UTIL_RNG_HPP_

#include <algorithm>
#include <iterator>
#include <random>
#include <sstream>
#include <string>
#include <utility>

// Code written for Caffe says boost::mt19937 and boost::uniform_int after this header.
#if __has_include(<boost/random/mersenne_twister.hpp>)
#include <boost/random/mersenne_twister.hpp>
#include <boost/random/uniform_int.hpp>
#endif

#include "caffe/common.hpp"

namespace caffe {

/// The engine behind Caffe::RNG.
typedef std::mt19937 rng_t;

/// The calling thread's generator.
inline rng_t* caffe_rng() { return static_cast<rng_t*>(Caffe::rng_stream().generator()); }

/// The state of a generator, for RandomOfText.
inline string TextOfRandom(const rng_t& random) {
  ostringstream text;
  text << random;
  return text.str();
}

/// @throws Error where the text is no state of a generator.
inline rng_t RandomOfText(const string& text) {
  rng_t random;
  std::istringstream stream(text);
  bool sound = static_cast<bool>(stream >> random);
  if (sound) {
    // Of nothing but zeros it makes zeros, of which no normal distribution gets a number.
    rng_t following = random;
    sound = false;
    for (size_t i = 0; i < rng_t::state_size; ++i) sound |= following() != 0;
  }
  LOG_IF(FATAL, !sound) << "the state of the random numbers is damaged";
  return random;
}

/// Fisher-Yates shuffle with the given generator. std::shuffle may differ between standard libraries; this
/// gives one order for one seed everywhere.
template <class RandomAccessIterator, class RandomGenerator>
inline void shuffle(RandomAccessIterator begin, RandomAccessIterator end, RandomGenerator* gen) {
  for (auto length = std::distance(begin, end); length > 1; --length) {
    const auto pick = static_cast<decltype(length)>((*gen)() % static_cast<unsigned long long>(length));
    std::iter_swap(begin + (length - 1), begin + pick);
  }
}

template <class RandomAccessIterator>
inline void shuffle(RandomAccessIterator begin, RandomAccessIterator end) {
  shuffle(begin, end, caffe_rng());
}

}  // namespace caffe

#endif  // CAFFE_UTIL_RNG_HPP_
