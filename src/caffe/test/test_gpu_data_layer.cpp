// How data layers feed the GPU.
#include <gtest/gtest.h>

#include "caffe/common.hpp"

#ifndef CPU_ONLY

#include <algorithm>
#include <memory>
#include <vector>

#include "caffe/layers/base_data_layer.hpp"
#include "caffe/test/test_caffe_main.hpp"
#include "caffe/test/test_error_util.hpp"
#include "caffe/util/math_functions.hpp"
#include "gpu_test_util.hpp"

namespace caffe {

namespace {

// Batch number b holds b in all its values and labels. From `grow_at` on, batches have more values.
template <typename Dtype>
class CountingLayer : public BasePrefetchingDataLayer<Dtype> {
 public:
  explicit CountingLayer(const LayerParameter& param, int grow_at = 1 << 30)
      : BasePrefetchingDataLayer<Dtype>(param), grow_at_(grow_at) {}
  ~CountingLayer() override { this->StopInternalThread(); }

  void DataLayerSetUp(const vector<Blob<Dtype>*>&, const vector<Blob<Dtype>*>& top) override {
    this->ShapeTops({1, 3, 5}, 4, top);
  }

  /// Whether the blob shows a batch's memory on the GPU.
  bool Shows(const Blob<Dtype>& top) const {
    const auto is_shown = [&](const shared_ptr<Batch<Dtype>>& batch) {
      return batch->data_.data()->gpu_owner() == top.data()->gpu_owner() ||
             batch->label_.data()->gpu_owner() == top.data()->gpu_owner();
    };
    return top.data()->gpu_owner() && std::any_of(this->prefetch_.begin(), this->prefetch_.end(), is_shown);
  }

 protected:
  void load_batch(Batch<Dtype>* batch) override {
    this->ShapeBatch(next_ < grow_at_ ? vector<int>{1, 3, 5} : vector<int>{1, 3, 1000}, 4, batch);
    caffe_set(batch->data_.count(), Dtype(next_), batch->data_.mutable_cpu_data());
    if (this->output_labels_) caffe_set(4, Dtype(next_), batch->label_.mutable_cpu_data());
    batch->next_record_ = ++next_;
  }
  bool SeekRecord(uint64_t record) override {
    next_ = static_cast<int>(record);
    return true;
  }

 private:
  int next_ = 0;
  const int grow_at_;
};

template <typename Dtype>
class GpuDataLayerTest : public ::testing::Test {
 protected:
  void SetUp() override { SKIP_WITHOUT_GPU(); }

  void Make(const LayerParameter& param = {}, int grow_at = 1 << 30) {
    layer_ = std::make_unique<CountingLayer<Dtype>>(param, grow_at);
    layer_->SetUp({}, tops_);
  }

  // That the tops hold batch b, as the GPU sees them.
  void ExpectBatch(int b) {
    for (const Blob<Dtype>* top : tops_) {
      Dtype sum = 0;
      caffe_gpu_asum(top->count(), top->gpu_data(), &sum);
      EXPECT_EQ(Dtype(b) * top->count(), sum) << "batch " << b;
    }
  }

  Blob<Dtype> data_, label_;
  vector<Blob<Dtype>*> tops_{&data_, &label_};
  std::unique_ptr<CountingLayer<Dtype>> layer_;

 private:
  // The layer's worker computes in the mode that is set when it starts.
  const ModeForTest mode_{Caffe::GPU};
};
TYPED_TEST_SUITE(GpuDataLayerTest, TestDtypes);

}  // namespace

TYPED_TEST(GpuDataLayerTest, ShowsBatchesWithoutACopy) {
  this->Make();
  for (int b = 0; b < 12; ++b) {
    this->layer_->Forward({}, this->tops_);
    for (Blob<TypeParam>* top : this->tops_) {
      EXPECT_TRUE(this->layer_->Shows(*top));
      EXPECT_EQ(SyncedMemory::HEAD_AT_GPU, top->data()->head());
    }
    this->ExpectBatch(b);
    EXPECT_EQ(TypeParam(b), this->data_.cpu_data()[7]) << "a layer may read it on the host";
  }
}

TYPED_TEST(GpuDataLayerTest, GoesWithoutLabels) {
  this->tops_.pop_back();
  this->Make();
  for (int b = 0; b < 6; ++b) {
    this->layer_->Forward({}, this->tops_);
    this->ExpectBatch(b);
  }
}

TYPED_TEST(GpuDataLayerTest, ReadsOneBatchAhead) {
  LayerParameter param;
  param.mutable_data_param()->set_prefetch(1);
  this->Make(param);
  for (int b = 0; b < 6; ++b) {
    this->layer_->Forward({}, this->tops_);
    this->ExpectBatch(b);
  }
}

TYPED_TEST(GpuDataLayerTest, BatchesMayGrow) {
  this->Make({}, 5);
  for (int b = 0; b < 16; ++b) {
    this->layer_->Forward({}, this->tops_);
    EXPECT_EQ(b < 5 ? 5 : 1000, this->data_.shape(2));
    this->ExpectBatch(b);
  }
}

TYPED_TEST(GpuDataLayerTest, ABatchIsNotFilledAgainWhileItIsRead) {
  this->Make();
  // What a layer does with a batch may still run when the next passes have started.
  constexpr int kPasses = 12, kReads = 20;
  Blob<TypeParam> sums({kPasses, 60});
  TypeParam* sum = sums.mutable_gpu_data();
  for (int b = 0; b < kPasses; ++b) {
    this->layer_->Forward({}, this->tops_);
    ASSERT_EQ(60, this->data_.count());
    for (int read = 0; read < kReads; ++read) {
      caffe_gpu_axpy(60, TypeParam(1), this->data_.gpu_data(), sum + 60 * b);
    }
  }
  for (int b = 0; b < kPasses; ++b) {
    for (int i = 0; i < 60; ++i) ASSERT_EQ(TypeParam(b * kReads), sums.cpu_data()[60 * b + i]) << b;
  }
}

TYPED_TEST(GpuDataLayerTest, TheModeMayChangeBetweenPasses) {
  this->Make();
  for (int b = 0; b < 24; ++b) {
    const bool on_gpu = b % 3 != 1;
    const ModeForTest mode(on_gpu ? Caffe::GPU : Caffe::CPU);
    this->layer_->Forward({}, this->tops_);
    for (const Blob<TypeParam>* top : this->tops_) {
      EXPECT_EQ(on_gpu ? SyncedMemory::HEAD_AT_GPU : SyncedMemory::HEAD_AT_CPU, top->data()->head());
      EXPECT_EQ(TypeParam(b), top->cpu_data()[top->count() - 1]);
    }
    this->ExpectBatch(b);
  }
}

TYPED_TEST(GpuDataLayerTest, ABatchMadeInCpuModeCanBeTakenInGpuMode) {
  {
    const ModeForTest mode(Caffe::CPU);
    this->Make();
    this->layer_->Forward({}, this->tops_);
    EXPECT_EQ(nullptr, this->data_.data()->gpu_owner());
  }
  for (int b = 1; b < 6; ++b) {
    this->layer_->Forward({}, this->tops_);
    this->ExpectBatch(b);
  }
}

TYPED_TEST(GpuDataLayerTest, GoesOnFromAPlace) {
  this->Make();
  for (int b = 0; b < 3; ++b) this->layer_->Forward({}, this->tops_);
  DataState state;
  EXPECT_TRUE(this->layer_->GetDataState(&state));
  EXPECT_EQ(3u, state.record());
  state.set_record(40);
  this->layer_->SetDataState(state);
  for (int b = 40; b < 46; ++b) {
    this->layer_->Forward({}, this->tops_);
    this->ExpectBatch(b);
  }
}

TYPED_TEST(GpuDataLayerTest, TheWorkerIsOnTheGpuOfItsLayer) {
  if (Caffe::device_count() < 2) GTEST_SKIP() << "this machine has one GPU";
  const int before = Caffe::device();
  Caffe::SetDevice(1);
  this->Make();
  for (int b = 0; b < 6; ++b) {
    this->layer_->Forward({}, this->tops_);
    this->ExpectBatch(b);
    cudaPointerAttributes attributes;
    CUDA_CHECK(cudaPointerGetAttributes(&attributes, this->data_.gpu_data()));
    EXPECT_EQ(1, attributes.device);
  }
  this->layer_.reset();
  Caffe::SetDevice(before);
}

TEST(GpuSyncedMemoryTest, CopiesNothingIntoMemoryLentForTheOtherSide) {
  SKIP_WITHOUT_GPU();
  const ModeForTest mode(Caffe::GPU);
  SyncedMemory lender(4 * sizeof(float)), other(4 * sizeof(float)), borrower(4 * sizeof(float));
  for (int i = 0; i < 4; ++i) {
    static_cast<float*>(lender.mutable_cpu_data())[i] = 1;
    static_cast<float*>(other.mutable_cpu_data())[i] = 2;
  }
  void* const on_gpu = const_cast<void*>(other.gpu_data());
  borrower.set_cpu_data(lender.mutable_cpu_data(), lender.cpu_owner());
  borrower.set_gpu_data(on_gpu, other.gpu_owner());
  EXPECT_EQ(2, static_cast<const float*>(borrower.cpu_data())[0]);
  EXPECT_EQ(1, static_cast<const float*>(lender.cpu_data())[0]) << "its memory is its own";
  borrower.set_cpu_data(lender.mutable_cpu_data(), lender.cpu_owner());
  EXPECT_NE(on_gpu, borrower.gpu_data());
  float sum = 0;
  caffe_gpu_asum(4, static_cast<const float*>(on_gpu), &sum);
  EXPECT_EQ(8, sum);
}

}  // namespace caffe

#endif  // !CPU_ONLY
