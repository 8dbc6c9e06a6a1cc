#ifndef CAFFE_UTIL_BACKWARD_PRECISION_HPP_
#define CAFFE_UTIL_BACKWARD_PRECISION_HPP_

namespace caffe {

/// How floats are multiplied; sums are floats.
enum class Precision {
  kFloat,
  kTF32,  ///< 10 bits of the operands' fractions, on GPUs only
  kBF16   ///< 7 bits of the operands' fractions
};

/**
 * @brief Of the gradients of layers with binary weights: the environment variable CAFFE_BACKWARD, FLOAT (the
 * default), TF32 or BF16.
 *
 * On a GPU BF16 is TF32 where there is no way in BF16 (see ComputeGradientsInBF16). @throws Error for another
 * value.
 */
Precision BackwardPrecision();

/// What the processor's own instructions can do with BF16, as oneDNN sees it (ONEDNN_MAX_CPU_ISA is obeyed).
enum class BF16Instructions {
  kNone,  ///< or this build is without oneDNN
  kVectors,
  kTiles
};
BF16Instructions BF16OfProcessor();

/// The same on the CPU, where it is of the gradients of all convolutions: BF16 where that is asked for and
/// the processor has instructions for it, or else FLOAT.
Precision CpuBackwardPrecision();

}  // namespace caffe

#endif  // CAFFE_UTIL_BACKWARD_PRECISION_HPP_
