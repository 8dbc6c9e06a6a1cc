#ifndef CAFFE_LOWBIT_LEVEL_CODES_HPP_
#define CAFFE_LOWBIT_LEVEL_CODES_HPP_

#include <cstdint>
#include <vector>

namespace caffe {
namespace lowbit {

/// Finds the codes of values that are levels of a quantizer, and puts images from Caffe's order into that of
/// libhwgq.
class LevelCodes {
 public:
  /// Pixels whose codes are found at a time.
  static constexpr int kPixels = 256;

  /// At most kMaxLevels levels.
  explicit LevelCodes(const std::vector<float>& levels);

  /**
   * @brief Codes of some pixels of an image.
   *
   * @param image channels x image_pixels values.
   * @param first the first of the pixels, of which there are at most kPixels unless the image has one
   * channel.
   * @param codes of the image: image_pixels x channels. Undefined where the result is false.
   * @return whether all values are levels.
   */
  bool Find(const float* image, int channels, int64_t image_pixels, int64_t first, int64_t pixels,
            uint8_t* codes) const;

  /// Codes of `count` values, in their order.
  bool Find(const float* values, int64_t count, uint8_t* codes) const;

 private:
  const int count_;
  /// Padded with NaN, which no value equals.
  std::vector<float> levels_;
};

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_LEVEL_CODES_HPP_
