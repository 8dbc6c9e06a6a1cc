#include "caffe/parallel.hpp"

#ifdef USE_NCCL

#include <chrono>
#include <set>
#include <thread>

#include "caffe/util/gpu_memory.hpp"
#include "caffe/util/solver_share.hpp"

namespace caffe {

namespace {

constexpr size_t kLeastPartBytes = size_t{4} << 20;

// Memory that the other GPUs can reach. NCCL reads and writes it from there when they are of one process,
// which memory of GpuAllocate's pool does not allow.
shared_ptr<void> AllocateReachable(size_t bytes, int device) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes > 0 ? bytes : 1);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    LOG(FATAL) << "GPU " << device
               << " has not enough memory for the parameters or their gradients: " << bytes
               << " bytes were asked for; use a smaller net";
  }
  CUDA_CHECK(status);
  return shared_ptr<void>(memory, [device](void* held) {
    const GpuDeviceGuard guard(device);
    // Fails at the end of a program, when the driver has freed all.
    if (cudaFree(held) != cudaSuccess) cudaGetLastError();
  });
}

void CheckGpus(const vector<int>& gpus) {
  CHECK(Caffe::mode() == Caffe::GPU) << "training on several GPUs needs the GPU mode";
  CHECK(!gpus.empty()) << "there is no GPU to train on";
  CHECK_EQ(std::set<int>(gpus.begin(), gpus.end()).size(), gpus.size())
      << "each GPU can be named once only, as it gets one solver";
  CHECK_EQ(Caffe::device(), gpus[0]) << "the first GPU to train on must be the one that the solver is on";
  CHECK_EQ(Caffe::solver_count(), static_cast<int>(gpus.size()))
      << "Caffe::set_solver_count must tell the number of GPUs before the solver is made: its data layers "
         "share the records by it";
  CHECK(Caffe::root_solver()) << "only the root solver trains on several GPUs";
}

// The definition of the solvers beside the root.
template <typename Dtype>
SolverParameter DefinitionFor(Solver<Dtype>* root, int gpu) {
  SolverParameter param = DefinitionOfOthers(root->param());
  if (*root->type()) param.set_type(root->type());
  param.set_device_id(gpu);
  return param;
}

}  // namespace

// ---------------------------------------------------------------------------------------------------- memory

template <typename Dtype>
Params<Dtype>::Params(shared_ptr<Solver<Dtype>> root_solver)
    : layout_(*root_solver->net()), size_(layout_.size()) {}

template <typename Dtype>
GPUParams<Dtype>::GPUParams(shared_ptr<Solver<Dtype>> root_solver, int device)
    : Params<Dtype>(root_solver), device_(device) {
  const GpuDeviceGuard guard(device);
  const size_t bytes = size_ * sizeof(Dtype);
  data_owner_ = AllocateReachable(bytes, device);
  diff_owner_ = AllocateReachable(bytes, device);
  data_ = static_cast<Dtype*>(data_owner_.get());
  diff_ = static_cast<Dtype*>(diff_owner_.get());
  // What lies between the parameters is sent, too.
  CUDA_CHECK(cudaMemsetAsync(data_, 0, bytes, cudaStreamPerThread));
  CUDA_CHECK(cudaMemsetAsync(diff_, 0, bytes, cudaStreamPerThread));
  for (int i = 0; i < layout_.num_params(); ++i) {
    const Blob<Dtype>& param = *root_solver->net()->learnable_params()[i];
    CUDA_CHECK(cudaMemcpyAsync(data_ + layout_.offset(i), param.gpu_data(), param.count() * sizeof(Dtype),
                               cudaMemcpyDeviceToDevice, cudaStreamPerThread));
  }
  CUDA_CHECK(cudaStreamSynchronize(cudaStreamPerThread));
}

template <typename Dtype>
GPUParams<Dtype>::~GPUParams() = default;

template <typename Dtype>
void GPUParams<Dtype>::Configure(Solver<Dtype>* solver) const {
  const vector<Blob<Dtype>*>& params = solver->net()->learnable_params();
  CHECK_EQ(static_cast<int>(params.size()), layout_.num_params()) << "the solvers have different nets";
  for (int i = 0; i < layout_.num_params(); ++i) {
    CHECK_LE(static_cast<size_t>(params[i]->count()), layout_.offset(i + 1) - layout_.offset(i))
        << "the solvers have different nets";
    params[i]->set_gpu_data(data_ + layout_.offset(i), data_owner_);
    params[i]->diff()->set_gpu_data(diff_ + layout_.offset(i), diff_owner_);
  }
}

// ------------------------------------------------------------------------------------------------ connection

template <typename Dtype>
NCCL<Dtype>::NCCL(shared_ptr<Solver<Dtype>> solver)
    : GPUParams<Dtype>(solver, Caffe::device()),
      GradientExchange<Dtype>(solver.get(), layout_, kLeastPartBytes / sizeof(Dtype)),
      solver_(solver) {
  Init();
}

template <typename Dtype>
NCCL<Dtype>::NCCL(shared_ptr<Solver<Dtype>> solver, const string& uid)
    : GPUParams<Dtype>(solver, Caffe::device()),
      GradientExchange<Dtype>(solver.get(), layout_, kLeastPartBytes / sizeof(Dtype)),
      solver_(solver) {
  ncclUniqueId id;
  CHECK_EQ(uid.size(), sizeof(id.internal)) << "this is no uid of NCCL::new_uid";
  uid.copy(id.internal, sizeof(id.internal));
  Init();
  NCCL_CHECK(ncclCommInitRank(&comm_, Caffe::solver_count(), id, Caffe::solver_rank()));
}

template <typename Dtype>
void NCCL<Dtype>::Init() {
  stream_ = own_stream_.get();
  this->Configure(solver_.get());
}

template <typename Dtype>
NCCL<Dtype>::~NCCL() {
  Disconnect();
}

template <typename Dtype>
void NCCL<Dtype>::Disconnect() {
  if (!comm_) return;
  const GpuDeviceGuard guard(device_);
  // What the others do not join in any more must not be waited for.
  const bool broken = in_flight_ || (threads_ && threads_->failed());
  if (broken) {
    ncclCommAbort(comm_);
  } else {
    ncclCommDestroy(comm_);
  }
  comm_ = nullptr;
  in_flight_ = false;
}

template <typename Dtype>
void NCCL<Dtype>::InitSingleProcess(vector<NCCL<Dtype>*>* nccls) {
  vector<int> devices;
  for (const NCCL<Dtype>* nccl : *nccls) devices.push_back(nccl->device_);
  vector<ncclComm_t> comms(nccls->size());
  NCCL_CHECK(ncclCommInitAll(comms.data(), static_cast<int>(comms.size()), devices.data()));
  for (size_t i = 0; i < comms.size(); ++i) (*nccls)[i]->comm_ = comms[i];
}

template <typename Dtype>
string NCCL<Dtype>::new_uid() {
  ncclUniqueId id;
  NCCL_CHECK(ncclGetUniqueId(&id));
  return string(id.internal, sizeof(id.internal));
}

// ---------------------------------------------------------------------------------------------------
// exchange

template <typename Dtype>
template <typename Collective>
void NCCL<Dtype>::Start(Collective collective) {
  CHECK(comm_ != nullptr) << "the solvers are not connected: see NCCL::Run and NCCL::InitSingleProcess";
  computed_.Record(cudaStreamPerThread);
  computed_.LetWait(stream_);
  // Kernels of NCCL wait for each other. So all threads start them together: what one of them did between
  // (memory, loading of kernels) could wait for its own and keep another one's from being started. And a
  // thread that has failed is missed here, where waiting ends.
  if (threads_) threads_->Wait();
  in_flight_ = true;
  NCCL_CHECK(collective());
  if (threads_) threads_->Wait();
}

template <typename Dtype>
void NCCL<Dtype>::Await() {
  constexpr int kImpatientPolls = 200;
  constexpr std::chrono::microseconds kPatience(20);
  received_.Record(stream_);
  // Waiting in CUDA could not be ended when the others have gone.
  for (int polls = 0; !received_.HasPassed(); ++polls) {
    ThreadStop::ThrowIfRequested();
    ncclResult_t result = ncclSuccess;
    NCCL_CHECK(ncclCommGetAsyncError(comm_, &result));
    NCCL_CHECK(result);
    if (polls < kImpatientPolls) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(kPatience);
    }
  }
  in_flight_ = false;
}

template <typename Dtype>
void NCCL<Dtype>::Broadcast() {
  const vector<Blob<Dtype>*>& params = solver_->net()->learnable_params();
  for (const Blob<Dtype>* param : params) param->gpu_data();
  Start(
      [this] { return ncclBroadcast(data_, data_, size_, nccl::dataType<Dtype>::type, 0, comm_, stream_); });
  Await();
  // What the host has is old now.
  for (Blob<Dtype>* param : params) param->mutable_gpu_data();
}

template <typename Dtype>
void NCCL<Dtype>::on_start() {
  // No solver begins an iteration that the root does not begin.
  if (threads_) threads_->Wait();
  GradientExchange<Dtype>::on_start();
}

template <typename Dtype>
void NCCL<Dtype>::Send(int first, int end) {
  for (int i = first; i < end; ++i) {
    // A layer may have computed on the host.
    LOG_IF(FATAL, solver_->net()->learnable_params()[i]->mutable_gpu_diff() != diff_ + layout_.offset(i))
        << "the gradients of learnable parameter " << i
        << " have got other memory, which NCCL does not know: make the NCCL anew";
  }
  const size_t begin = layout_.offset(first), count = layout_.offset(end) - begin;
  Start([this, begin, count] {
    Dtype* const gradients = diff_ + begin;
    return ncclAllReduce(gradients, gradients, count, nccl::dataType<Dtype>::type, ncclAvg, comm_, stream_);
  });
}

template <typename Dtype>
void NCCL<Dtype>::Finish() {
  Await();
  for (Blob<Dtype>* param : solver_->net()->learnable_params()) param->mutable_gpu_diff();
}

// -------------------------------------------------------------------------------------------------- training

template <typename Dtype>
void NCCL<Dtype>::Run(const vector<int>& gpus, const char* restore) {
  CheckGpus(gpus);
  SolverThreads threads(static_cast<int>(gpus.size()));
  vector<NCCL<Dtype>*> nccls(gpus.size());
  const int start_iter = solver_->iter();
  threads.Run([&](int rank) {
    if (rank == 0) return Train(&threads, &nccls);
    Caffe::SetDevice(gpus[rank]);
    const shared_ptr<Solver<Dtype>> solver(
        SolverRegistry<Dtype>::CreateSolver(DefinitionFor(solver_.get(), gpus[rank])));
    solver->net()->set_reuses_memory(solver_->net()->reuses_memory());
    if (restore) solver->Restore(restore);
    CHECK_EQ(solver->iter(), start_iter) << "the root solver is to be restored from the snapshot that is "
                                            "given for the others, before training on several GPUs";
    NCCL<Dtype>(solver).Train(&threads, &nccls);
  });
}

template <typename Dtype>
void NCCL<Dtype>::Train(SolverThreads* threads, vector<NCCL<Dtype>*>* nccls) {
  const bool is_root = Caffe::root_solver();
  const AttachedExchange<Dtype> attached(this, solver_.get());
  threads_ = threads;
  (*nccls)[Caffe::solver_rank()] = this;
  try {
    threads->Wait();
    if (is_root) InitSingleProcess(nccls);
    threads->Wait();
    Broadcast();
    if (is_root) {
      solver_->Solve();
      threads->Finish();
    } else {
      solver_->Step(solver_->param().max_iter() - solver_->iter());
      // The root may still test.
      threads->Wait();
    }
  } catch (...) {
    threads->Fail(std::current_exception());
    Disconnect();
    threads_ = nullptr;
    throw;
  }
  Disconnect();
  threads_ = nullptr;
}

template class Params<float>;
template class Params<double>;
template class GPUParams<float>;
template class GPUParams<double>;
template class NCCL<float>;
template class NCCL<double>;

}  // namespace caffe

#endif  // USE_NCCL
