// Caffe's layers for the stages of packed models that libhwgq has no way of its own to compute.
#include <algorithm>

#include "caffe/blob.hpp"
#include "caffe/layer.hpp"
#include "caffe/layer_factory.hpp"
#include "caffe/lowbit/foreign_layer.hpp"
#include "caffe/util/logging.hpp"

namespace caffe {

namespace {

using Blobs = vector<std::unique_ptr<Blob<float>>>;

vector<Blob<float>*> Pointers(const Blobs& blobs) {
  vector<Blob<float>*> pointers;
  for (const auto& blob : blobs) pointers.push_back(blob.get());
  return pointers;
}

class PackedLayer : public lowbit::ForeignLayer {
 public:
  PackedLayer(const LayerParameter& param, const vector<vector<int64_t>>& inputs,
              const vector<int64_t>& output_elements) {
    layer_ = LayerRegistry<float>::CreateLayer(param);
    for (const vector<int64_t>& dimensions : inputs) {
      vector<int> shape = {1};
      shape.insert(shape.end(), dimensions.begin(), dimensions.end());
      inputs_.push_back(std::make_unique<Blob<float>>(shape));
    }
    for (size_t i = 0; i < output_elements.size(); ++i) outputs_.push_back(std::make_unique<Blob<float>>());
    layer_->SetUp(Pointers(inputs_), Pointers(outputs_));
    TakeParameters(param);
    for (size_t i = 0; i < outputs_.size(); ++i) {
      CHECK_EQ(outputs_[i]->count(), output_elements[i])
          << "result " << i << " has another size than the model says: make it anew with caffe pack";
    }
  }

  void Forward(int images, const vector<const float*>& inputs, const vector<float*>& outputs) override {
    for (size_t i = 0; i < inputs.size(); ++i) {
      vector<int> shape = inputs_[i]->shape();
      shape[0] = images;
      inputs_[i]->Reshape(shape);
      std::copy_n(inputs[i], inputs_[i]->count(), inputs_[i]->mutable_cpu_data());
    }
    const Caffe::Brew mode = Caffe::mode();
    Caffe::set_mode(Caffe::CPU);
    layer_->Forward(Pointers(inputs_), Pointers(outputs_));
    Caffe::set_mode(mode);
    for (size_t i = 0; i < outputs.size(); ++i) {
      std::copy_n(outputs_[i]->cpu_data(), outputs_[i]->count(), outputs[i]);
    }
  }

 private:
  void TakeParameters(const LayerParameter& param) {
    CHECK_EQ(layer_->blobs().size(), static_cast<size_t>(param.blobs_size()))
        << "the model holds another number of parameters than the layer has: make it anew with caffe pack";
    // Shapes are checked here, since these are a stranger's.
    for (int i = 0; i < param.blobs_size(); ++i) layer_->blobs()[i]->FromProto(param.blobs(i), false);
  }

  shared_ptr<Layer<float>> layer_;
  Blobs inputs_, outputs_;
};

std::unique_ptr<lowbit::ForeignLayer> MakePackedLayer(const uint8_t* parameter, size_t size,
                                                      const vector<vector<int64_t>>& inputs,
                                                      const vector<int64_t>& output_elements) {
  LayerParameter param;
  CHECK(size <= INT32_MAX && param.ParseFromArray(parameter, static_cast<int>(size)))
      << "its LayerParameter is damaged: make the model anew with caffe pack";
  CHECK(param.type() != "Python") << "packed models hold no layers written in Python, which would run code";
  return std::make_unique<PackedLayer>(param, inputs, output_elements);
}

// Whoever loads libcaffe can run such models.
const bool kRegistered = [] {
  lowbit::SetForeignLayerFactory(MakePackedLayer);
  return true;
}();

}  // namespace

}  // namespace caffe
