#include "caffe/util/convolution_engine.hpp"

#include "caffe/util/onednn_library.hpp"

namespace caffe {

std::unique_ptr<ConvolutionEngine> MakeOneDnnConvolution(const ConvolutionGeometry& geometry,
                                                         bool keeps_weights) {
  const OneDnnLibrary* const library = GetOneDnn();
  return std::unique_ptr<ConvolutionEngine>(library ? library->make_convolution(&geometry, keeps_weights)
                                                    : nullptr);
}

}  // namespace caffe
