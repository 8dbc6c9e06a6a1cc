#include "caffe/util/nccl.hpp"

#ifdef USE_NCCL

namespace caffe {

namespace {

const char* NameOf(ncclResult_t status) {
  switch (status) {
    case ncclUnhandledCudaError:
      return "ncclUnhandledCudaError";
    case ncclSystemError:
      return "ncclSystemError";
    case ncclInternalError:
      return "ncclInternalError";
    case ncclInvalidArgument:
      return "ncclInvalidArgument";
    case ncclInvalidUsage:
      return "ncclInvalidUsage";
    case ncclRemoteError:
      return "ncclRemoteError";
    default:
      return "of an unknown kind";
  }
}

}  // namespace

void ThrowNcclError(ncclResult_t status, const char* call) {
  // NCCL's own call may have left a CUDA error that the next check would find.
  cudaGetLastError();
  LOG(FATAL) << "NCCL error " << NameOf(status) << ": " << ncclGetErrorString(status) << " (" << call
             << "); the environment variable NCCL_DEBUG=WARN makes NCCL say more";
}

}  // namespace caffe

#endif  // USE_NCCL
