#include "caffe/util/backward_precision.hpp"

#include <cstdlib>
#include <string>

#include "caffe/common.hpp"
#include "caffe/util/onednn_library.hpp"

namespace caffe {

Precision BackwardPrecision() {
  const char* const value = std::getenv("CAFFE_BACKWARD");
  const string text = value ? value : "FLOAT";
  if (text == "FLOAT") return Precision::kFloat;
  if (text == "TF32") return Precision::kTF32;
  CHECK(text == "BF16") << "the environment variable CAFFE_BACKWARD is '" << text
                        << "': it may be FLOAT, TF32 or BF16";
  return Precision::kBF16;
}

BF16Instructions BF16OfProcessor() {
  const OneDnnLibrary* const library = GetOneDnn();
  return library ? library->bf16_instructions() : BF16Instructions::kNone;
}

Precision CpuBackwardPrecision() {
  const bool is_wanted = BackwardPrecision() == Precision::kBF16;
  return is_wanted && BF16OfProcessor() != BF16Instructions::kNone ? Precision::kBF16 : Precision::kFloat;
}

}  // namespace caffe
