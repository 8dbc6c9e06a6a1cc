#ifndef CAFFE_FILLER_HPP
#define CAFFE_FILLER_HPP

#include <memory>

#include "caffe/blob.hpp"
#include "caffe/common.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/math_functions.hpp"

namespace caffe {

/**
 * @brief Gives a parameter its initial values, as a FillerParameter says.
 *
 * Random fillers draw from the calling thread's generator, in the order of the blob's elements. All throw
 * Error for a blob without elements and, but for "gaussian", for a `sparse` setting, which they do not
 * follow.
 */
template <typename Dtype>
class Filler {
 public:
  explicit Filler(const FillerParameter& param) : filler_param_(param) {}
  virtual ~Filler() = default;
  virtual void Fill(Blob<Dtype>* blob) = 0;

 protected:
  FillerParameter filler_param_;
};

/// `value` everywhere.
template <typename Dtype>
class ConstantFiller : public Filler<Dtype> {
 public:
  explicit ConstantFiller(const FillerParameter& param) : Filler<Dtype>(param) {}
  void Fill(Blob<Dtype>* blob) override;
};

/// Uniform on [`min`, `max`].
template <typename Dtype>
class UniformFiller : public Filler<Dtype> {
 public:
  explicit UniformFiller(const FillerParameter& param) : Filler<Dtype>(param) {}
  void Fill(Blob<Dtype>* blob) override;
};

/**
 * @brief Normal with `mean` and standard deviation `std`.
 *
 * With `sparse` >= 0, each value is kept with probability sparse / shape(0), else 0: about `sparse` inputs of
 * each output in a weight whose leading axis is outputs.
 */
template <typename Dtype>
class GaussianFiller : public Filler<Dtype> {
 public:
  explicit GaussianFiller(const FillerParameter& param) : Filler<Dtype>(param) {}
  void Fill(Blob<Dtype>* blob) override;

 protected:
  /// Which values of a sparse filler are kept: an int for each, 1 or 0.
  shared_ptr<SyncedMemory> rand_vec_;
};

/// Uniform on [0, 1], then scaled so that the values of each leading index sum to 1.
template <typename Dtype>
class PositiveUnitballFiller : public Filler<Dtype> {
 public:
  explicit PositiveUnitballFiller(const FillerParameter& param) : Filler<Dtype>(param) {}
  void Fill(Blob<Dtype>* blob) override;
};

/**
 * @brief Uniform on [-s, s] with s = sqrt(3 / n), of variance 1 / n (Glorot and Bengio, AISTATS 2010).
 *
 * `variance_norm` chooses n: FAN_IN (count / shape(0), the default), FAN_OUT (count / shape(1), or the count
 * of a blob of one axis) or AVERAGE, the mean of both.
 */
template <typename Dtype>
class XavierFiller : public Filler<Dtype> {
 public:
  explicit XavierFiller(const FillerParameter& param) : Filler<Dtype>(param) {}
  void Fill(Blob<Dtype>* blob) override;
};

/// Normal with mean 0 and variance 2 / n, for layers before a ReLU (He et al., ICCV 2015). n as in
/// XavierFiller.
template <typename Dtype>
class MSRAFiller : public Filler<Dtype> {
 public:
  explicit MSRAFiller(const FillerParameter& param) : Filler<Dtype>(param) {}
  void Fill(Blob<Dtype>* blob) override;
};

/**
 * @brief The same kernel of bilinear interpolation in every channel, for a Deconvolution that enlarges
 * images.
 *
 * To enlarge f times: kernel_size 2 f - f % 2, stride f, pad ceil((f - 1) / 2), group = num_output =
 * channels.
 * @throws Error for a blob that is not of four axes with square kernels.
 */
template <typename Dtype>
class BilinearFiller : public Filler<Dtype> {
 public:
  explicit BilinearFiller(const FillerParameter& param) : Filler<Dtype>(param) {}
  void Fill(Blob<Dtype>* blob) override;
};

/// Makes the filler that param.type() names; the caller owns it. @throws Error for an unknown type.
template <typename Dtype>
Filler<Dtype>* GetFiller(const FillerParameter& param);

/// Fills the blob as param says: what most layers do with a filler.
template <typename Dtype>
void FillBlob(const FillerParameter& param, Blob<Dtype>* blob) {
  const std::unique_ptr<Filler<Dtype>> filler(GetFiller<Dtype>(param));
  filler->Fill(blob);
}

}  // namespace caffe

#endif  // CAFFE_FILLER_HPP
