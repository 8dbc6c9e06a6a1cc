#include "caffe/layers/base_data_layer.hpp"

#include <algorithm>
#include <vector>

#include "caffe/util/parallel_for.hpp"
#include "caffe/util/rng.hpp"
#include "caffe/util/shared_loop.hpp"

namespace caffe {

namespace {

uint32_t BatchesAhead(const LayerParameter& param) {
  // More would only fill the memory.
  constexpr uint32_t kMost = 1 << 16;
  const uint32_t batches = param.data_param().prefetch();
  LOG_IF(FATAL, batches < 1 || batches > kMost)
      << "data_param.prefetch is " << batches << ": read 1 to " << kMost << " batches ahead";
  return batches;
}

/// Nanoseconds of work from which on a further thread helps: waking it, and taking a processor from the
/// computation, should not cost more than it saves.
constexpr double kThreadCost = 5e5;

constexpr const char* kForked =
    "the thread that reads the data stayed in the process that this one was forked from: make the net after "
    "the "
    "fork";

}  // namespace

template <typename Dtype>
BaseDataLayer<Dtype>::BaseDataLayer(const LayerParameter& param)
    : Layer<Dtype>(param), transform_param_(param.transform_param()) {}

template <typename Dtype>
void BaseDataLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom, const vector<Blob<Dtype>*>& top) {
  output_labels_ = top.size() > 1;
  data_transformer_ = std::make_shared<DataTransformer<Dtype>>(transform_param_, this->phase_);
  data_transformer_->InitRand();
  DataLayerSetUp(bottom, top);
}

template <typename Dtype>
BasePrefetchingDataLayer<Dtype>::BasePrefetchingDataLayer(const LayerParameter& param)
    : BaseDataLayer<Dtype>(param), prefetch_(BatchesAhead(param)) {
  for (auto& batch : prefetch_) {
    batch = std::make_shared<Batch<Dtype>>();
    prefetch_free_.push(batch.get());
  }
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::LayerSetUp(const vector<Blob<Dtype>*>& bottom,
                                                 const vector<Blob<Dtype>*>& top) {
  CHECK(!is_started()) << "a data layer can be set up only once";
  // The number that the worker will start from is the layer's, too. It is not taken here, so that a seed
  // gives the layers that follow the weights it always gave them.
  seed_ = rng_t(*caffe_rng())();
  // Solvers of one process share its threads.
  const int solvers = Caffe::multiprocess() ? 1 : Caffe::solver_count();
  threads_ = std::max(ParallelThreads() / solvers, 1);
  BaseDataLayer<Dtype>::LayerSetUp(bottom, top);
  StartInternalThread();
}

template <typename Dtype>
bool BasePrefetchingDataLayer<Dtype>::GetDataState(DataState* state) const {
  state->set_seed(seed_);
  state->set_record(next_record_);
  return true;
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::SetDataState(const DataState& state) {
  CHECK(!is_left_behind()) << kForked;
  StopInternalThread();
  NoteLastRead();
  // What was read ahead is of another place.
  prefetch_current_ = nullptr;
  prefetch_full_.clear();
  prefetch_free_.clear();
  for (const auto& batch : prefetch_) prefetch_free_.push(batch.get());
  seed_ = state.seed();
  next_record_ = state.record();
  if (!SeekRecord(next_record_)) {
    LOG(WARNING) << "the layer '" << this->layer_param_.name()
                 << "' cannot go on where it stopped: it goes on with what it reads next";
  }
  StartInternalThread();
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::ShapeTops(const vector<int>& item_shape, int batch_size,
                                                const vector<Blob<Dtype>*>& top) {
  for (const auto& batch : prefetch_) {
    ShapeBatch(item_shape, batch_size, batch.get());
    // Memory that is missing is missed here and not in the worker.
    batch->data_.mutable_cpu_data();
    batch->label_.Reshape({batch_size});
    batch->label_.mutable_cpu_data();
    if (Caffe::mode() == Caffe::GPU) {
      batch->data_.gpu_data();
      batch->label_.gpu_data();
    }
  }
  top[0]->ReshapeLike(prefetch_[0]->data_);
  LOG_IF(INFO, Caffe::root_solver()) << "output data size: " << top[0]->num() << "," << top[0]->channels()
                                     << "," << top[0]->height() << "," << top[0]->width();
  if (this->output_labels_) top[1]->ReshapeLike(prefetch_[0]->label_);
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::ShapeBatch(const vector<int>& item_shape, int batch_size,
                                                 Batch<Dtype>* batch) {
  vector<int> shape = item_shape;
  shape[0] = batch_size;
  batch->data_.Reshape(shape);
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::MakeItems(
    Batch<Dtype>* batch, double item_cost, const std::function<void(int item, Blob<Dtype>* place)>& make) {
  vector<int> item_shape = batch->data_.shape();
  const int items = item_shape[0];
  item_shape[0] = 1;
  Dtype* values = batch->data_.mutable_cpu_data();
  const size_t item_values = batch->data_.count() / items;
  const double threads = std::min<double>(threads_, item_cost * items / kThreadCost);
  SharedLoop(items, static_cast<int>(threads), [&](int64_t item) {
    // Nobody should wait for the rest of a large batch.
    if (must_stop()) throw ThreadInterrupted();
    Blob<Dtype> place(item_shape);
    place.set_cpu_data(values + item_values * item);
    make(static_cast<int>(item), &place);
  });
}

#ifndef CPU_ONLY

namespace {

// Starts to copy what a batch holds to the GPU.
template <typename Dtype>
void Push(const GpuStream& stream, Blob<Dtype>* values) {
  const auto& memory = values->data();
  if (memory->gpu_owner() == nullptr) {
    // New memory is for the thread's own stream at first.
    memory->gpu_data();
  } else if (memory->head() == SyncedMemory::HEAD_AT_CPU) {
    memory->async_gpu_push(stream.get());
  }
}

}  // namespace

#endif  // !CPU_ONLY

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::InternalThreadEntry() {
#ifndef CPU_ONLY
  std::unique_ptr<GpuStream> stream;
  if (Caffe::mode() == Caffe::GPU) stream = std::make_unique<GpuStream>();
#endif
  while (!must_stop()) {
    Batch<Dtype>* batch = prefetch_free_.pop();
    load_batch(batch);
#ifndef CPU_ONLY
    if (stream) {
      batch->read_.LetWait(stream->get());
      Push(*stream, &batch->data_);
      if (this->output_labels_) Push(*stream, &batch->label_);
      stream->Wait();
    }
#endif
    prefetch_full_.push(batch);
  }
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::InternalThreadFailed(std::exception_ptr error) {
  try {
    std::rethrow_exception(error);
  } catch (const Error&) {
    prefetch_full_.fail(error);
  } catch (const std::exception& other) {
    // Of any other exception the layer's name would not be told.
    prefetch_full_.fail(std::make_exception_ptr(Error(string("cannot read the data: ") + other.what())));
  } catch (...) {
    prefetch_full_.fail(error);
  }
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::NoteLastRead() {
#ifndef CPU_ONLY
  // It is read by whichever thread's kernels, all of which the legacy stream waits for.
  if (prefetch_current_ && prefetch_current_->data_.data()->gpu_owner()) {
    prefetch_current_->read_.Record(cudaStreamLegacy);
  }
#endif
}

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::TakeBatch() {
  CHECK(!is_left_behind()) << kForked;
  NoteLastRead();
  if (prefetch_current_) prefetch_free_.push(prefetch_current_);
  prefetch_current_ = nullptr;
  prefetch_current_ = prefetch_full_.pop("Waiting for data");
  next_record_ = prefetch_current_->next_record_;
}

namespace {

// Makes the top show the values of a batch, which whoever looks at them keeps.
template <typename Dtype>
void Show(Blob<Dtype>* values, Blob<Dtype>* top) {
  top->ReshapeLike(*values);
  Dtype* memory = values->mutable_cpu_data();
  top->set_cpu_data(memory, values->data()->cpu_owner());
}

}  // namespace

template <typename Dtype>
void BasePrefetchingDataLayer<Dtype>::Forward_cpu(const vector<Blob<Dtype>*>&,
                                                  const vector<Blob<Dtype>*>& top) {
  TakeBatch();
  Show(&prefetch_current_->data_, top[0]);
  if (this->output_labels_) Show(&prefetch_current_->label_, top[1]);
}

#ifdef CPU_ONLY
STUB_GPU_FORWARD(BasePrefetchingDataLayer, Forward);
#endif

INSTANTIATE_CLASS(BaseDataLayer);
INSTANTIATE_CLASS(BasePrefetchingDataLayer);

}  // namespace caffe
