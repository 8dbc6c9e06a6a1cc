#ifndef CAFFE_UTIL_RECORD_RANDOM_HPP_
#define CAFFE_UTIL_RECORD_RANDOM_HPP_

#include <cstdint>

namespace caffe {

/**
 * @brief Random numbers that belong to one record, or one pass, of a sequence of data.
 *
 * They depend on nothing but the sequence's seed, what they are for, and the record's number: whichever
 * thread asks, in whichever order, and from wherever a run was taken up again, the record gets the same. The
 * generator is SplitMix64 (Steele, Lea and Flood 2014, section 4); it can be handed to caffe::shuffle.
 */
class RecordRandom {
 public:
  /// What the numbers are for: uses of one record's number must not be tied to each other.
  enum Purpose : uint64_t { START, ORDER, ROW_ORDER, CHOICE, TRANSFORM };
  typedef uint64_t result_type;

  RecordRandom(uint64_t seed, Purpose purpose, uint64_t number)
      : state_(Mix(Mix(Mix(seed) + purpose) + number)) {}

  result_type operator()() {
    state_ += 0x9e3779b97f4a7c15u;
    return Mix(state_);
  }

  /// A number in [0, n), n > 0.
  int64_t Below(int64_t n) { return static_cast<int64_t>((*this)() % static_cast<uint64_t>(n)); }

  static constexpr result_type min() { return 0; }
  static constexpr result_type max() { return ~result_type{0}; }

 private:
  static uint64_t Mix(uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
  }

  uint64_t state_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_RECORD_RANDOM_HPP_
