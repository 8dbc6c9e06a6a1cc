// Text files that list images.
#include <string>

#include "caffe/util/image.hpp"
#include "readers.hpp"
#include "scratch.hpp"

namespace caffe {
namespace fuzz {

namespace {

/// Where the lists find "a.png", a color image of 4 x 6 pixels, and "b.png", a gray one.
std::string ImageFolder() {
  static const std::string folder = [] {
    WriteScratch("listed/b.png", EncodeImage(Image(4, 6, 1), ImageFormat::PNG));
    const std::string name = "a.png";
    const std::string path = WriteScratch("listed/" + name, EncodeImage(Image(4, 6, 3), ImageFormat::PNG));
    return path.substr(0, path.size() - name.size());
  }();
  return folder;
}

}  // namespace

void ReadImageListBytes(const std::string& bytes) {
  LayerParameter param = FromText<LayerParameter>(R"(name: "data" type: "ImageData" top: "data" top: "label"
      image_data_param { batch_size: 3 shuffle: true })");
  param.mutable_image_data_param()->set_source(WriteScratch("list.txt", bytes));
  param.mutable_image_data_param()->set_root_folder(ImageFolder());
  MayRefuse([&] { RunDataLayer(param); });
}

void ReadWindowFileBytes(const std::string& bytes) {
  LayerParameter param = FromText<LayerParameter>(R"(name: "data" type: "WindowData" top: "data" top: "label"
      window_data_param { batch_size: 4 fg_fraction: 0.5 } transform_param { crop_size: 5 mirror: true })");
  param.mutable_window_data_param()->set_source(WriteScratch("windows.txt", bytes));
  param.mutable_window_data_param()->set_root_folder(ImageFolder());
  for (const char* crop_mode : {"warp", "square"}) {
    param.mutable_window_data_param()->set_crop_mode(crop_mode);
    param.mutable_window_data_param()->set_context_pad(*crop_mode == 'w' ? 0 : 1);
    MayRefuse([&] { RunDataLayer(param); });
  }
}

}  // namespace fuzz
}  // namespace caffe
