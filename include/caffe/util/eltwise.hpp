#ifndef CAFFE_UTIL_ELTWISE_HPP_
#define CAFFE_UTIL_ELTWISE_HPP_

/// @file
/// How blobs are combined element by element (the Eltwise layer), for all devices.
///
/// A device is a type with Map(n, f, y), which sets y[i] = f(i), and Map(n, f, y, g, z), which sets y[i] =
/// f(i) and then z[i] = g(i), for i in [0, n).

#include <cstddef>
#include <cstdint>
#include <vector>

#include "caffe/blob.hpp"
#include "caffe/proto/caffe.pb.h"
#include "caffe/util/blob_side.hpp"
#include "caffe/util/device_alternate.hpp"

namespace caffe {

namespace eltwise {

template <typename Dtype>
struct Product {
  const Dtype *a, *b;
  CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return a[i] * b[i]; }
};

template <typename Dtype>
struct WeightedSum {
  Dtype p;
  const Dtype* a;
  Dtype q;
  const Dtype* b;
  CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return p * a[i] + q * b[i]; }
};

template <typename Dtype>
struct Scaled {
  Dtype factor;
  const Dtype* a;
  CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return factor * a[i]; }
};

/// Whether bottom `own`, b, takes the maximum from a, that of those before it. As in Caffe on a CPU, where
/// both are equal bottom 1 does, and no later one.
template <typename Dtype>
CAFFE_HOST_DEVICE bool TakesMaximum(int own, Dtype a, Dtype b) {
  return own == 1 ? !(a > b) : b > a;
}

template <typename Dtype>
struct Maximum {
  int own;
  const Dtype *a, *b;
  CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return TakesMaximum(own, a[i], b[i]) ? b[i] : a[i]; }
};

/// Which bottom has the maximum.
template <typename Dtype>
struct OwnerOfMaximum {
  int own;
  const Dtype *a, *b;
  const int* before;  ///< not read for own = 1, before which there is only bottom 0
  CAFFE_HOST_DEVICE int operator()(int64_t i) const {
    return TakesMaximum(own, a[i], b[i]) ? own : own == 1 ? 0 : before[i];
  }
};

/// The gradient of a product by one of its factors, x.
template <typename Dtype>
struct ProductByFactor {
  const Dtype *y, *x, *dy;
  CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return y[i] / x[i] * dy[i]; }
};

template <typename Dtype>
struct GradientOfOwner {
  const int* which;
  int own;
  const Dtype* dy;
  CAFFE_HOST_DEVICE Dtype operator()(int64_t i) const { return which[i] == own ? dy[i] : Dtype(0); }
};

}  // namespace eltwise

/// top = the combination of two or more bottoms. `which` gets who has the maximum, for MAX only.
template <typename Side, typename Dtype>
void EltwiseForward(EltwiseParameter_EltwiseOp op, const std::vector<Dtype>& coeffs,
                    const std::vector<Blob<Dtype>*>& bottom, Blob<int>* which, Blob<Dtype>* top) {
  const int count = top->count();
  Dtype* y = Side::MutableData(top);
  const Dtype* a = Side::Data(*bottom[0]);
  // The first two together, then one more at a time.
  for (size_t i = 1; i < bottom.size(); ++i, a = y) {
    const Dtype* b = Side::Data(*bottom[i]);
    switch (op) {
      case EltwiseParameter_EltwiseOp_PROD:
        Side::Map(count, eltwise::Product<Dtype>{a, b}, y);
        break;
      case EltwiseParameter_EltwiseOp_SUM:
        Side::Map(count, eltwise::WeightedSum<Dtype>{i == 1 ? coeffs[0] : Dtype(1), a, coeffs[i], b}, y);
        break;
      case EltwiseParameter_EltwiseOp_MAX: {
        int* owner = Side::MutableData(which);
        const int own = static_cast<int>(i);
        Side::Map(count, eltwise::OwnerOfMaximum<Dtype>{own, a, b, owner}, owner,
                  eltwise::Maximum<Dtype>{own, a, b}, y);
        break;
      }
    }
  }
}

/// The gradient of bottom[own], whose coefficient is `coeff`. A stable product is one of the other bottoms.
template <typename Side, typename Dtype>
void EltwiseBackward(EltwiseParameter_EltwiseOp op, bool stable_product, Dtype coeff, const Blob<int>& which,
                     const Blob<Dtype>& top, size_t own, const std::vector<Blob<Dtype>*>& bottom) {
  const int count = top.count();
  const Dtype* dy = Side::Diff(top);
  Dtype* dx = Side::MutableDiff(bottom[own]);
  switch (op) {
    case EltwiseParameter_EltwiseOp_PROD:
      if (stable_product) {
        const Dtype* product = dy;
        for (size_t i = 0; i < bottom.size(); ++i) {
          if (i == own) continue;
          Side::Map(count, eltwise::Product<Dtype>{product, Side::Data(*bottom[i])}, dx);
          product = dx;
        }
      } else {
        const Dtype* x = Side::Data(*bottom[own]);
        Side::Map(count, eltwise::ProductByFactor<Dtype>{Side::Data(top), x, dy}, dx);
      }
      break;
    case EltwiseParameter_EltwiseOp_SUM:
      // Their memory may be one.
      if (dx != dy || coeff != 1) Side::Map(count, eltwise::Scaled<Dtype>{coeff, dy}, dx);
      break;
    case EltwiseParameter_EltwiseOp_MAX:
      Side::Map(count, eltwise::GradientOfOwner<Dtype>{Side::Data(which), static_cast<int>(own), dy}, dx);
      break;
  }
}

}  // namespace caffe

#endif  // CAFFE_UTIL_ELTWISE_HPP_
