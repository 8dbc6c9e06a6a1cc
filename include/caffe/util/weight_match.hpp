#ifndef CAFFE_UTIL_WEIGHT_MATCH_HPP_
#define CAFFE_UTIL_WEIGHT_MATCH_HPP_

#include <string>
#include <vector>

#include "caffe/common.hpp"

namespace caffe {

/// What became of each layer when the parameters of a file or net were compared with those of a net.
class WeightMatch {
 public:
  enum Outcome {
    MATCHED,   ///< the same shapes
    DIFFERS,   ///< another number of blobs, or another shape
    MISSING,   ///< the source has no parameters for this layer of the net
    LEFT_OVER  ///< the net has no layer for these parameters of the source
  };

  /// @param shapes of the layer's parameters, those of the net where it has them.
  void Add(Outcome outcome, const string& layer, const string& type, const string& shapes);

  int Count(Outcome outcome) const;
  bool Has(const string& layer) const;
  /// A line of counts, and one for each layer: what, its name, type and shapes.
  string Table() const;
  /// The names of the layers with this outcome, with commas between.
  string Names(Outcome outcome) const;

 private:
  struct Line {
    Outcome outcome;
    string layer, type, shapes;
  };
  vector<Line> lines_;
};

}  // namespace caffe

#endif  // CAFFE_UTIL_WEIGHT_MATCH_HPP_
