#ifndef CAFFE_LOWBIT_FOREIGN_LAYER_HPP_
#define CAFFE_LOWBIT_FOREIGN_LAYER_HPP_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace caffe {
namespace lowbit {

/// A layer of a packed model that libhwgq does not have. libcaffe, where it is loaded, brings all of Caffe's.
class ForeignLayer {
 public:
  virtual ~ForeignLayer() = default;

  /// Computes the outputs of `images` images; all arrays are in Caffe's order. One thread at a time.
  virtual void Forward(int images, const std::vector<const float*>& inputs,
                       const std::vector<float*>& outputs) = 0;
};

/**
 * @brief Makes the layer of a serialized LayerParameter with blobs.
 *
 * @param inputs the dimensions of each input's blob, without the first, the number of images.
 * @param output_elements elements of one image of each output.
 * @throws std::runtime_error where there is no such layer, or it does not fit.
 */
using ForeignLayerFactory = std::unique_ptr<ForeignLayer> (*)(const uint8_t* parameter, size_t size,
                                                              const std::vector<std::vector<int64_t>>& inputs,
                                                              const std::vector<int64_t>& output_elements);

/// Has nets that are loaded from now on make such layers.
void SetForeignLayerFactory(ForeignLayerFactory factory);

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_FOREIGN_LAYER_HPP_
