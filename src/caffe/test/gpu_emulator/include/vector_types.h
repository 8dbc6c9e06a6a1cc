#ifndef CAFFE_GPU_EMULATOR_VECTOR_TYPES_H_
#define CAFFE_GPU_EMULATOR_VECTOR_TYPES_H_

/// @file
/// CUDA's short vectors, aligned as on a GPU, and dim3.

// Declares NAME1 ... NAME4 and make_NAME1 ...; the alignments are those of a vector's load.
#define GPU_EMULATOR_VECTORS(name, type, align2, align4)                         \
  struct name##1 { type x; };                                                    \
  struct alignas(align2) name##2 { type x, y; };                                 \
  struct name##3 { type x, y, z; };                                              \
  struct alignas(align4) name##4 { type x, y, z, w; };                           \
  constexpr name##1 make_##name##1(type x) { return {x}; }                       \
  constexpr name##2 make_##name##2(type x, type y) { return {x, y}; }            \
  constexpr name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; } \
  constexpr name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }

GPU_EMULATOR_VECTORS(char, signed char, 2, 4)
GPU_EMULATOR_VECTORS(uchar, unsigned char, 2, 4)
GPU_EMULATOR_VECTORS(short, short, 4, 8)
GPU_EMULATOR_VECTORS(ushort, unsigned short, 4, 8)
GPU_EMULATOR_VECTORS(int, int, 8, 16)
GPU_EMULATOR_VECTORS(uint, unsigned, 8, 16)
GPU_EMULATOR_VECTORS(long, long, 16, 16)
GPU_EMULATOR_VECTORS(ulong, unsigned long, 16, 16)
GPU_EMULATOR_VECTORS(longlong, long long, 16, 16)
GPU_EMULATOR_VECTORS(ulonglong, unsigned long long, 16, 16)
GPU_EMULATOR_VECTORS(float, float, 8, 16)
GPU_EMULATOR_VECTORS(double, double, 16, 16)

#undef GPU_EMULATOR_VECTORS

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned in_x = 1, unsigned in_y = 1, unsigned in_z = 1) : x(in_x), y(in_y), z(in_z) {}
  constexpr dim3(uint3 sizes) : x(sizes.x), y(sizes.y), z(sizes.z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};

#endif  // CAFFE_GPU_EMULATOR_VECTOR_TYPES_H_
