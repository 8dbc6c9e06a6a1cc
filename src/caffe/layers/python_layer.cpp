#include "caffe/layers/python_layer.hpp"

#include <atomic>
#include <type_traits>

namespace caffe {

namespace {

std::atomic<PythonLayerCreator> python_layer_creator{nullptr};

}  // namespace

void SetPythonLayerCreator(PythonLayerCreator creator) { python_layer_creator = creator; }

template <typename Dtype>
shared_ptr<Layer<Dtype>> GetPythonLayer(const LayerParameter& param) {
  if constexpr (std::is_same_v<Dtype, float>) {
    const PythonLayerCreator create = python_layer_creator;
    CHECK(create != nullptr) << "layers written in Python need the Python package: run the net with the "
                                "command caffe, or from Python after `import caffe`";
    return create(param);
  } else {
    LOG(FATAL) << "layers written in Python compute in float; this net is one of double";
  }
}

REGISTER_LAYER_CREATOR(Python, GetPythonLayer);

}  // namespace caffe
