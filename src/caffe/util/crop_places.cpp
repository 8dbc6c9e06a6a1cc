#include "caffe/util/crop_places.hpp"

namespace caffe {

CropPlaces PlacesOfCrop(const vector<int>& shape, const vector<int>& cut, const int* offset) {
  CropPlaces places;
  int stride = 1;
  // Whether the axes after this one are taken whole.
  bool whole = true;
  for (int axis = static_cast<int>(shape.size()) - 1; axis >= 0; --axis) {
    if (whole) {
      // What was one run or one step so far is one of more values.
      if (places.axes == 0) {
        places.run *= cut[axis];
      } else {
        places.length[places.axes - 1] *= cut[axis];
      }
    } else {
      places.length[places.axes] = cut[axis];
      places.stride[places.axes] = stride;
      ++places.axes;
    }
    places.first += offset[axis] * stride;
    stride *= shape[axis];
    whole = cut[axis] == shape[axis];
  }
  return places;
}

}  // namespace caffe
