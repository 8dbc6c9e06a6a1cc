#include "winograd_transforms.hpp"

#include <algorithm>

#include "caffe/lowbit/transpose.hpp"
#include "caffe/util/target_clones.hpp"

// A vector is never passed between functions that are compiled apart, so that how it is passed is no matter.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace caffe {

namespace {

constexpr int kLanes = kWinogradLanes, kInputs = kWinogradInputs, kPoints = kWinogradPoints;

typedef float Lanes __attribute__((vector_size(kLanes * sizeof(float)), aligned(4), may_alias));
using lowbit::Quad, lowbit::Transpose, lowbit::TransposeMatrix;

typedef uint32_t Words __attribute__((vector_size(kLanes * sizeof(uint32_t)), aligned(4), may_alias));
typedef BF16 Halves __attribute__((vector_size(kLanes * sizeof(BF16)), aligned(2), may_alias));

// They are part of the clone that calls them.
#define INSIDE inline __attribute__((always_inline))

// x -> B^T x, where elements of x and of what is made of it are a stride apart.
INSIDE void ByInputs(const Lanes* x, int stride, Lanes* made, int made_stride) {
  const Lanes x0 = x[0], x1 = x[stride], x2 = x[2 * stride], x3 = x[3 * stride], x4 = x[4 * stride];
  const Lanes even = x4 - 4.f * x2, odd = x3 - 4.f * x1, far_even = x4 - x2, far_odd = 2.f * (x3 - x1);
  made[0] = 4.f * x0 - 5.f * x2 + x4;
  made[made_stride] = even + odd;
  made[2 * made_stride] = even - odd;
  made[3 * made_stride] = far_even + far_odd;
  made[4 * made_stride] = far_even - far_odd;
  made[5 * made_stride] = 4.f * x1 - 5.f * x3 + x[5 * stride];
}

// p -> B p
INSIDE void ByInputsTransposed(const Lanes* p, int stride, Lanes* made, int made_stride) {
  const Lanes p0 = p[0], p5 = p[5 * stride];
  const Lanes sum = p[stride] + p[2 * stride], difference = p[stride] - p[2 * stride];
  const Lanes far_sum = p[3 * stride] + p[4 * stride], far_difference = 2.f * (p[3 * stride] - p[4 * stride]);
  made[0] = 4.f * p0;
  made[made_stride] = 4.f * (p5 - difference) - far_difference;
  made[2 * made_stride] = -5.f * p0 - 4.f * sum - far_sum;
  made[3 * made_stride] = difference + far_difference - 5.f * p5;
  made[4 * made_stride] = p0 + sum + far_sum;
  made[5 * made_stride] = p5;
}

// y -> A y
template <int kOutputs>
INSIDE void ByOutputsTransposed(const Lanes* y, int stride, Lanes* made, int made_stride) {
  const Lanes y0 = y[0], y1 = y[stride];
  Lanes even = y0, odd = y1, far_even = y0, far_odd = 2.f * y1;
  if constexpr (kOutputs == 4) {
    const Lanes y2 = y[2 * stride], y3 = y[3 * stride];
    even += y2;
    odd += y3;
    far_even += 4.f * y2;
    far_odd += 8.f * y3;
  }
  made[0] = y0;
  made[made_stride] = even + odd;
  made[2 * made_stride] = even - odd;
  made[3 * made_stride] = far_even + far_odd;
  made[4 * made_stride] = far_even - far_odd;
  made[5 * made_stride] = y[(kOutputs - 1) * stride];
}

// w -> G w
template <int kKernel>
INSIDE void ByWeights(const Lanes* w, int stride, Lanes* made, int made_stride) {
  const Lanes w0 = w[0], w1 = w[stride], w2 = w[2 * stride];
  Lanes even = w0 + w2, odd = w1, far_even = w0 + 4.f * w2, far_odd = 2.f * w1;
  if constexpr (kKernel == 5) {
    const Lanes w3 = w[3 * stride], w4 = w[4 * stride];
    even += w4;
    odd += w3;
    far_even += 16.f * w4;
    far_odd += 8.f * w3;
  }
  made[0] = w0 * 0.25f;
  made[made_stride] = (even + odd) * (-1.f / 6);
  made[2 * made_stride] = (even - odd) * (-1.f / 6);
  made[3 * made_stride] = (far_even + far_odd) * (1.f / 24);
  made[4 * made_stride] = (far_even - far_odd) * (1.f / 24);
  made[5 * made_stride] = w[(kKernel - 1) * stride];
}

// p -> G^T p
template <int kKernel>
INSIDE void ByWeightsTransposed(const Lanes* p, int stride, Lanes* made, int made_stride) {
  const Lanes p1 = p[stride], p2 = p[2 * stride], p3 = p[3 * stride], p4 = p[4 * stride];
  const Lanes sum = (p1 + p2) * (1.f / 6), difference = (p2 - p1) * (1.f / 6);
  const Lanes far_sum = p3 + p4, far_difference = p3 - p4;
  made[0] = p[0] * 0.25f - sum + far_sum * (1.f / 24);
  made[made_stride] = difference + far_difference * (1.f / 12);
  made[2 * made_stride] = far_sum * (1.f / 6) - sum;
  if constexpr (kKernel == 5) {
    made[3 * made_stride] = difference + far_difference * (1.f / 3);
    made[4 * made_stride] = far_sum * (2.f / 3) - sum;
  }
  made[(kKernel - 1) * made_stride] += p[5 * stride];
}

INSIDE void LoadPoints(const float* from, int64_t stride, Lanes* points) {
  for (int i = 0; i < kPoints; ++i) points[i] = *reinterpret_cast<const Lanes*>(from + i * stride);
}

INSIDE void StorePoints(const Lanes* points, int64_t stride, float* to) {
  for (int i = 0; i < kPoints; ++i) *reinterpret_cast<Lanes*>(to + i * stride) = points[i];
}

// Rounded to nearest; of halves, away from zero, which takes fewer instructions than to even. That may make a
// number of a NaN only if its bits are nearly all ones, and no arithmetic makes such.
INSIDE void StorePoints(const Lanes* points, int64_t stride, BF16* to) {
  for (int i = 0; i < kPoints; ++i) {
    const Words rounded = (reinterpret_cast<const Words&>(points[i]) + 0x8000) >> 16;
    *reinterpret_cast<Halves*>(to + i * stride) = __builtin_convertvector(rounded, Halves);
  }
}

template <int kOutputs, typename Point>
INSIDE void TransformInputs(const float* rows, int row_width, int tiles, int64_t point_stride, int channels,
                            Point* points) {
  const Lanes* inputs = reinterpret_cast<const Lanes*>(rows);
  for (int tile = 0; tile < tiles; ++tile) {
    Lanes half[kPoints], all[kPoints];
    for (int x = 0; x < kInputs; ++x) ByInputs(inputs + tile * kOutputs + x, row_width, half + x, kInputs);
    for (int y = 0; y < kInputs; ++y) ByInputs(half + y * kInputs, 1, all + y * kInputs, 1);
    StorePoints(all, point_stride, points + static_cast<int64_t>(tile) * channels);
  }
}

template <int kOutputs, typename Point>
INSIDE void TransformOutputs(const float* rows, int row_width, int tiles, int64_t point_stride, int channels,
                             Point* points) {
  const Lanes* outputs = reinterpret_cast<const Lanes*>(rows);
  for (int tile = 0; tile < tiles; ++tile) {
    Lanes half[kInputs * kOutputs], all[kPoints];
    for (int x = 0; x < kOutputs; ++x) {
      ByOutputsTransposed<kOutputs>(outputs + tile * kOutputs + x, row_width, half + x, kOutputs);
    }
    for (int y = 0; y < kInputs; ++y)
      ByOutputsTransposed<kOutputs>(half + y * kOutputs, 1, all + y * kInputs, 1);
    StorePoints(all, point_stride, points + static_cast<int64_t>(tile) * channels);
  }
}

template <int kKernel, typename Point>
INSIDE void TransformWeights(const float* kernels, int lanes, int64_t point_stride, Point* points) {
  constexpr int kWeights = kKernel * kKernel;
  Lanes weights[kWeights], half[kInputs * kKernel], all[kPoints];
  float* values = reinterpret_cast<float*>(weights);
  if (lanes < kLanes) std::fill_n(values, kWeights * kLanes, 0.f);
  TransposeMatrix(kernels, kWeights, lanes, kWeights, false, values, kLanes);
  for (int x = 0; x < kKernel; ++x) ByWeights<kKernel>(weights + x, kKernel, half + x, kKernel);
  for (int y = 0; y < kInputs; ++y) ByWeights<kKernel>(half + y * kKernel, 1, all + y * kInputs, 1);
  StorePoints(all, point_stride, points);
}

template <int kOutputs>
INSIDE void AddUpInputs(const float* points, int64_t point_stride, int channels, int tiles, int row_width,
                        float* rows) {
  std::fill(rows, rows + static_cast<int64_t>(kInputs) * row_width * kLanes, 0.f);
  Lanes* inputs = reinterpret_cast<Lanes*>(rows);
  for (int tile = 0; tile < tiles; ++tile) {
    Lanes all[kPoints], half[kPoints], line[kInputs];
    LoadPoints(points + static_cast<int64_t>(tile) * channels, point_stride, all);
    for (int x = 0; x < kInputs; ++x) ByInputsTransposed(all + x, kInputs, half + x, kInputs);
    for (int y = 0; y < kInputs; ++y) {
      ByInputsTransposed(half + y * kInputs, 1, line, 1);
      for (int x = 0; x < kInputs; ++x) inputs[y * row_width + tile * kOutputs + x] += line[x];
    }
  }
}

template <int kKernel>
INSIDE void AddWeightGradient(const float* points, int64_t point_stride, int lanes, float* kernels) {
  Lanes all[kPoints], half[kInputs * kKernel], gradient[kKernel * kKernel];
  LoadPoints(points, point_stride, all);
  for (int x = 0; x < kInputs; ++x) ByWeightsTransposed<kKernel>(all + x, kInputs, half + x, kInputs);
  for (int y = 0; y < kKernel; ++y)
    ByWeightsTransposed<kKernel>(half + y * kInputs, 1, gradient + y * kKernel, 1);
  constexpr int kWeights = kKernel * kKernel;
  TransposeMatrix(reinterpret_cast<const float*>(gradient), kLanes, kWeights, lanes, true, kernels, kWeights);
}

}  // namespace

CAFFE_WIDE_TARGET_CLONES
void GatherWinogradRows(const WinogradPlanes& planes, const float* image, int first_row, int num_rows,
                        int pad, int row_width, float* rows) {
  const int64_t plane = planes.plane();
  for (int i = 0; i < num_rows; ++i) {
    float* row = rows + static_cast<int64_t>(i) * row_width * kLanes;
    const int y = first_row + i;
    if (y < 0 || y >= planes.height) {
      std::fill(row, row + row_width * kLanes, 0.f);
      continue;
    }
    std::fill(row, row + pad * kLanes, 0.f);
    std::fill(row + (pad + planes.width) * kLanes, row + row_width * kLanes, 0.f);
    row += pad * kLanes;
    const float* from = image + static_cast<int64_t>(y) * planes.width;
    int x = 0;
    if (planes.lanes == kLanes) {
      for (; x + 4 <= planes.width; x += 4) {
        for (int lane = 0; lane < kLanes; lane += 4) {
          Quad quads[4];
          Transpose(from + lane * plane + x, plane, quads);
          for (int j = 0; j < 4; ++j) *reinterpret_cast<Quad*>(row + (x + j) * kLanes + lane) = quads[j];
        }
      }
    }
    for (; x < planes.width; ++x) {
      for (int lane = 0; lane < kLanes; ++lane) {
        row[x * kLanes + lane] = lane < planes.lanes ? from[lane * plane + x] : 0.f;
      }
    }
  }
}

CAFFE_WIDE_TARGET_CLONES
void ScatterWinogradRow(const WinogradPlanes& planes, const float* row, int pad, bool is_added, int y,
                        float* image) {
  TransposeMatrix(row + pad * kLanes, kLanes, planes.width, planes.lanes, is_added,
                  image + static_cast<int64_t>(y) * planes.width, planes.plane());
}

CAFFE_WIDE_TARGET_CLONES
void TransformWinogradInputs(int kernel, const float* rows, int row_width, int tiles, int64_t point_stride,
                             int channels, float* points) {
  if (kernel == 3) {
    TransformInputs<WinogradOutputs(3)>(rows, row_width, tiles, point_stride, channels, points);
  } else {
    TransformInputs<WinogradOutputs(5)>(rows, row_width, tiles, point_stride, channels, points);
  }
}

CAFFE_WIDE_TARGET_CLONES
void TransformWinogradInputs(int kernel, const float* rows, int row_width, int tiles, int64_t point_stride,
                             int channels, BF16* points) {
  if (kernel == 3) {
    TransformInputs<WinogradOutputs(3)>(rows, row_width, tiles, point_stride, channels, points);
  } else {
    TransformInputs<WinogradOutputs(5)>(rows, row_width, tiles, point_stride, channels, points);
  }
}

CAFFE_WIDE_TARGET_CLONES
void TransformWinogradOutputs(int kernel, const float* rows, int row_width, int tiles, int64_t point_stride,
                              int channels, float* points) {
  if (kernel == 3) {
    TransformOutputs<WinogradOutputs(3)>(rows, row_width, tiles, point_stride, channels, points);
  } else {
    TransformOutputs<WinogradOutputs(5)>(rows, row_width, tiles, point_stride, channels, points);
  }
}

CAFFE_WIDE_TARGET_CLONES
void TransformWinogradOutputs(int kernel, const float* rows, int row_width, int tiles, int64_t point_stride,
                              int channels, BF16* points) {
  if (kernel == 3) {
    TransformOutputs<WinogradOutputs(3)>(rows, row_width, tiles, point_stride, channels, points);
  } else {
    TransformOutputs<WinogradOutputs(5)>(rows, row_width, tiles, point_stride, channels, points);
  }
}

CAFFE_WIDE_TARGET_CLONES
void AddUpWinogradInputs(int kernel, const float* points, int64_t point_stride, int channels, int tiles,
                         int row_width, float* rows) {
  if (kernel == 3) {
    AddUpInputs<WinogradOutputs(3)>(points, point_stride, channels, tiles, row_width, rows);
  } else {
    AddUpInputs<WinogradOutputs(5)>(points, point_stride, channels, tiles, row_width, rows);
  }
}

CAFFE_WIDE_TARGET_CLONES
void TransformWinogradWeights(int kernel, const float* kernels, int lanes, int64_t point_stride,
                              float* points) {
  if (kernel == 3) {
    TransformWeights<3>(kernels, lanes, point_stride, points);
  } else {
    TransformWeights<5>(kernels, lanes, point_stride, points);
  }
}

CAFFE_WIDE_TARGET_CLONES
void TransformWinogradWeights(int kernel, const float* kernels, int lanes, int64_t point_stride,
                              BF16* points) {
  if (kernel == 3) {
    TransformWeights<3>(kernels, lanes, point_stride, points);
  } else {
    TransformWeights<5>(kernels, lanes, point_stride, points);
  }
}

CAFFE_WIDE_TARGET_CLONES
void AddWinogradWeightGradient(int kernel, const float* points, int64_t point_stride, int lanes,
                               float* kernels) {
  if (kernel == 3) {
    AddWeightGradient<3>(points, point_stride, lanes, kernels);
  } else {
    AddWeightGradient<5>(points, point_stride, lanes, kernels);
  }
}

}  // namespace caffe
