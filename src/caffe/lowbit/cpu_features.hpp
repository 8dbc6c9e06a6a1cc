#ifndef CAFFE_LOWBIT_CPU_FEATURES_HPP_
#define CAFFE_LOWBIT_CPU_FEATURES_HPP_

namespace caffe {
namespace lowbit {

// Each says whether the processor has the instructions that a kernel's file is compiled for, and the
// operating system keeps their registers. All are false where no such processor is compiled for.

bool HasPopcount();
bool HasAvx2();    ///< and FMA
bool HasAvx512();  ///< F, BW, DQ and VL
bool HasAvx512Vnni();
bool HasAvx512Vpopcnt();
bool HasAvx512Vbmi();
/// The first call of these asks Linux for the tiles, once for the whole process, unless the environment
/// variable HWGQ_AMX is 0. They come with AVX-512.
bool HasAmxInt8();
bool HasAmxBf16();
bool HasNeon();

}  // namespace lowbit
}  // namespace caffe

#endif  // CAFFE_LOWBIT_CPU_FEATURES_HPP_
