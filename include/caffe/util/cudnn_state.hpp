#ifndef CAFFE_UTIL_CUDNN_STATE_HPP_
#define CAFFE_UTIL_CUDNN_STATE_HPP_

/// @file
/// What layers of one family hold of cuDNN, where Caffe is built with it (USE_CUDNN).

#include "caffe/util/cudnn.hpp"

#ifdef USE_CUDNN

#include <vector>

namespace caffe {
namespace cudnn {

/// Of convolutions, deconvolutions and binary convolutions.
struct ConvolutionState {
  bool handles_setup_ = false;
  cudnnHandle_t* handle_ = nullptr;
  cudaStream_t* stream_ = nullptr;

  // The fastest algorithms that fit the memory allowed, one for each bottom.
  cudnnConvolutionFwdAlgo_t* fwd_algo_ = nullptr;
  cudnnConvolutionBwdFilterAlgo_t* bwd_filter_algo_ = nullptr;
  cudnnConvolutionBwdDataAlgo_t* bwd_data_algo_ = nullptr;

  std::vector<cudnnTensorDescriptor_t> bottom_descs_, top_descs_;
  cudnnTensorDescriptor_t bias_desc_ = nullptr;
  cudnnFilterDescriptor_t filter_desc_ = nullptr;
  std::vector<cudnnConvolutionDescriptor_t> conv_descs_;
  /// Elements between the parts of neighbouring groups.
  int bottom_offset_ = 0, top_offset_ = 0, bias_offset_ = 0;

  size_t* workspace_fwd_sizes_ = nullptr;
  size_t* workspace_bwd_data_sizes_ = nullptr;
  size_t* workspace_bwd_filter_sizes_ = nullptr;
  /// In bytes, of workspaceData, which the parts in `workspace` lie in.
  size_t workspaceSizeInBytes = 0;
  void* workspaceData = nullptr;
  void** workspace = nullptr;
};

/// Of element-wise functions.
struct ActivationState {
  bool handles_setup_ = false;
  cudnnHandle_t handle_ = nullptr;
  cudnnTensorDescriptor_t bottom_desc_ = nullptr;
  cudnnTensorDescriptor_t top_desc_ = nullptr;
  cudnnActivationDescriptor_t activ_desc_ = nullptr;
};

/// Of normalization across and within channels.
struct NormalizationState {
  bool handles_setup_ = false;
  cudnnHandle_t handle_ = nullptr;
  cudnnLRNDescriptor_t norm_desc_ = nullptr;
  cudnnTensorDescriptor_t bottom_desc_ = nullptr, top_desc_ = nullptr;
  int size_ = 0;
};

}  // namespace cudnn
}  // namespace caffe

#endif  // USE_CUDNN

#endif  // CAFFE_UTIL_CUDNN_STATE_HPP_
