#include "caffe/lowbit/foreign_layer.hpp"

#include <atomic>
#include <mutex>

#include "caffe/lowbit/caffe_order.hpp"
#include "caffe/lowbit/plan_check.hpp"
#include "caffe/lowbit/scratch.hpp"
#include "caffe/lowbit/stage.hpp"

namespace caffe {
namespace lowbit {

namespace {

std::atomic<ForeignLayerFactory> the_factory{nullptr};

class ForeignStage : public Stage {
 public:
  ForeignStage(const Plan& plan, const StageInfo& stage) {
    for (const int input : stage.inputs) inputs_.push_back({input, plan.tensors[input]});
    std::vector<int64_t> output_elements;
    for (const StepInfo& step : stage.steps) {
      outputs_.push_back({step.tensor, plan.tensors[step.tensor]});
      output_elements.push_back(plan.tensors[step.tensor].elements());
    }
    const ForeignLayerFactory factory = the_factory;
    if (!factory) {
      throw PlanError(StageMessage(stage,
                                   "Caffe computes this layer, libhwgq alone cannot: load the model where "
                                   "libcaffe is, as Python's caffe.hwgq does"));
    }
    try {
      layer_ = factory(stage.arrays[0].bytes, stage.arrays[0].count, ReadForeignInputs(plan, stage),
                       output_elements);
    } catch (const std::runtime_error& error) {
      throw PlanError(StageMessage(stage, error.what()));
    }
  }

  size_t RoomBytes(int images) const override {
    size_t bytes = 0;
    for (const auto* blobs : {&inputs_, &outputs_}) {
      for (const Blob& blob : *blobs) bytes += blob.Bytes(images);
    }
    return bytes;
  }

  const char* Kernel() const override { return "Caffe"; }

  void Run(const Tensors& tensors, uint8_t* room, int threads) const override {
    std::vector<const float*> inputs;
    std::vector<float*> outputs;
    for (const Blob& blob : inputs_) {
      float* values = reinterpret_cast<float*>(room);
      ToCaffe(blob.tensor, tensors.real(blob.index), tensors.images, values);
      inputs.push_back(values);
      room += blob.Bytes(tensors.images);
    }
    for (const Blob& blob : outputs_) {
      outputs.push_back(reinterpret_cast<float*>(room));
      room += blob.Bytes(tensors.images);
    }
    {
      // A layer of Caffe's has state.
      std::lock_guard<std::mutex> lock(mutex_);
      layer_->Forward(tensors.images, inputs, outputs);
    }
    for (size_t i = 0; i < outputs.size(); ++i) {
      FromCaffe(outputs_[i].tensor, outputs[i], tensors.images, threads, tensors.real(outputs_[i].index));
    }
  }

 private:
  struct Blob {
    int index;
    TensorInfo tensor;

    size_t Bytes(int images) const { return Aligned(sizeof(float) * tensor.elements() * images); }
  };

  std::vector<Blob> inputs_, outputs_;
  std::unique_ptr<ForeignLayer> layer_;
  mutable std::mutex mutex_;
};

}  // namespace

void SetForeignLayerFactory(ForeignLayerFactory factory) { the_factory = factory; }

std::unique_ptr<Stage> MakeForeignStage(const Plan& plan, const StageInfo& stage) {
  return std::make_unique<ForeignStage>(plan, stage);
}

}  // namespace lowbit
}  // namespace caffe
