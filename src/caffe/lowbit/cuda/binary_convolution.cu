#include <algorithm>
#include <cstdlib>
#include <string>

#include "caffe/lowbit/cuda/pixel_stages.cuh"
#include "caffe/lowbit/cuda/stage.hpp"
#include "caffe/lowbit/plan_check.hpp"
#include "caffe/util/binary_mma.cuh"

namespace caffe {
namespace lowbit {
namespace gpu {

namespace {

using binary_mma::CeilDiv;
using binary_mma::FlatTile;
using binary_mma::kUnit;
using binary_mma::SmallTile;
using binary_mma::WarpPlace;
using binary_mma::WideTile;

// Codes are their own levels where these are 0, 1, ...; others become bytes of their level first.
struct LevelBytes {
  int8_t bytes[kMaxLevels];
};

// Bytes of four channels of a group of a pixel; those that fill a group up are 0.
struct SpreadCodes {
  LevelBytes levels;
  const uint8_t* codes;
  int stride;  // of the codes
  int groups, group_channels, group_words;
  uint32_t* spread;

  __device__ void operator()(int64_t word) const {
    const int channel = static_cast<int>(word % group_words) * kQuad;
    const int group = static_cast<int>(word / group_words % groups);
    const uint8_t* const from =
        codes + word / group_words / groups * stride + group * group_channels + channel;
    uint32_t bytes = 0;
    for (int c = 0; c < kQuad; ++c) {
      if (channel + c < group_channels) {
        bytes |= static_cast<uint32_t>(static_cast<uint8_t>(levels.bytes[from[c]])) << 8 * c;
      }
    }
    spread[word] = bytes;
  }
};

__global__ void __launch_bounds__(kPixelThreads)
    Spread(int64_t words, const __grid_constant__ SpreadCodes spread) {
  const int64_t word = static_cast<int64_t>(blockIdx.x) * kPixelThreads + threadIdx.x;
  if (word < words) spread(word);
}

template <typename Tile, typename Quads>
struct UseWarp {
  Quads quads;
  int pixels, group_outputs;

  __device__ void operator()(const WarpPlace& place, int32_t (&sums)[Tile::kRows][Tile::kColumns][4],
                             char* shared) const {
    PassQuads(sums, shared, place.group, group_outputs, place.output, place.pixel, pixels, place.part, quads);
  }
};

template <typename Tile, typename Quads>
void StartMultiply(const binary_mma::Geometry& g, int parts, const uint8_t* codes, const uint32_t* fragments,
                   const Quads& quads) {
  constexpr size_t kSharedBytes = Tile::kThreads / 32 * kQuadBytes<Tile::kColumns>;
  binary_mma::LaunchMultiply<Tile>(g, parts, codes, fragments, kSharedBytes,
                                   UseWarp<Tile, Quads>{quads, g.pixels, g.group_outputs});
}

enum class TileKind { kWide, kFlat, kSmall };

template <typename Quads>
void StartTile(TileKind tile, const binary_mma::Geometry& g, int parts, const uint8_t* codes,
               const uint32_t* fragments, const Quads& quads) {
  switch (tile) {
    case TileKind::kWide:
      return StartMultiply<WideTile>(g, parts, codes, fragments, quads);
    case TileKind::kFlat:
      return StartMultiply<FlatTile>(g, parts, codes, fragments, quads);
    case TileKind::kSmall:
      return StartMultiply<SmallTile>(g, parts, codes, fragments, quads);
  }
}

struct Division {
  TileKind tile;
  int parts;
};

// Blocks that keep all multiprocessors busy; tests ask for each tile.
Division Divide(const binary_mma::Geometry& g, int multiprocessors) {
  const int chunks = CeilDiv(g.units, binary_mma::kChunkUnits);
  // Each part takes a pass over its sums: some chunks have to be worth that.
  constexpr int kChunksOfPart = 8;
  Division division = {TileKind::kSmall, 1};
  const char* const wanted = std::getenv("HWGQ_GPU_TILE");
  const std::string tile = wanted ? wanted : "";
  if (!tile.empty() && tile != "wide" && tile != "flat" && tile != "small") {
    throw PlanError("HWGQ_GPU_TILE: there is no " + tile + "; there are wide, flat, small");
  }
  // Half of a wide tile's outputs would be for nothing.
  const bool is_flat = (g.group_outputs - 1) % WideTile::kBlockOutputs < FlatTile::kBlockOutputs;
  if (tile == "wide" || tile == "flat") {
    division.tile = tile == "wide" ? TileKind::kWide : TileKind::kFlat;
  } else if (tile.empty() && (is_flat ? FlatTile::Blocks(g) : WideTile::Blocks(g)) >= multiprocessors) {
    division.tile = is_flat ? TileKind::kFlat : TileKind::kWide;
  } else {
    division.parts =
        std::min(PartsOfSum(SmallTile::Blocks(g), multiprocessors), std::max(1, chunks / kChunksOfPart));
  }
  return division;
}

// The bytes that levels need, and of each level those of each plane, the highest first.
std::vector<LevelBytes> PlanesOf(const ArrayView& levels) {
  std::vector<int64_t> rest;
  for (size_t j = 0; j < levels.count; ++j) rest.push_back(levels.as<int32_t>()[j]);
  std::vector<LevelBytes> planes;
  do {
    LevelBytes plane = {};
    for (size_t j = 0; j < rest.size(); ++j) {
      plane.bytes[j] = static_cast<int8_t>(rest[j] & 0xff);
      rest[j] = (rest[j] - plane.bytes[j]) / 256;
    }
    planes.insert(planes.begin(), plane);
  } while (std::any_of(rest.begin(), rest.end(), [](int64_t level) { return level != 0; }));
  return planes;
}

bool AreCodes(const ArrayView& levels) {
  for (size_t j = 0; j < levels.count; ++j) {
    if (levels.as<int32_t>()[j] != static_cast<int32_t>(j)) return false;
  }
  return true;
}

binary_mma::Geometry MakeGeometry(const TensorInfo& input, const ConvolutionInfo& info, int planes) {
  const Geometry& window = info.geometry;
  binary_mma::Geometry g = {};
  g.out_width = info.result.width;
  g.out_pixels = info.result.height * info.result.width;
  g.height = input.height, g.width = input.width;
  g.groups = info.groups, g.group_outputs = info.outputs / info.groups;
  g.kernel_h = window.kernel_h, g.kernel_w = window.kernel_w;
  g.stride_h = window.stride_h, g.stride_w = window.stride_w;
  g.pad_h = window.pad_h, g.pad_w = window.pad_w;
  g.dilation_h = window.dilation_h, g.dilation_w = window.dilation_w;
  g.channel_blocks = CeilDiv(input.channels / info.groups, kUnit);
  g.units = g.kernel_h * g.kernel_w * g.channel_blocks;
  g.planes = planes;
  return g;
}

class BinaryConvolution : public Stage {
 public:
  BinaryConvolution(const Plan& plan, const StageInfo& stage, const ConvolutionInfo& info)
      : Stage(StageSteps(plan, stage, info.outputs, info.groups)),
        input_(plan.tensors[stage.inputs[0]]),
        tensor_(stage.inputs[0]),
        outputs_(info.outputs),
        group_channels_(input_.channels / info.groups),
        planes_(PlanesOf(stage.arrays[1])),
        in_place_(AreCodes(stage.arrays[1]) && (info.groups == 1 || group_channels_ % kUnit == 0)),
        geometry_(MakeGeometry(input_, info, static_cast<int>(planes_.size()))),
        multiprocessors_(Multiprocessors()),
        fragments_(UploadFragments(stage, info)) {
    if (RoomBytes(1) > INT32_MAX || input_.pixels() * PixelStride(input_) > INT32_MAX) {
      throw PlanError(
          StageMessage(stage, "an image of it takes more than a GPU can: load the model for the CPU"));
    }
  }

  size_t RoomBytes(int images) const override { return SpreadBytes(images) + PartBytes(images); }

  void Start(const Tensors& tensors, const StepList& steps, uint8_t* room) const override {
    const binary_mma::Geometry g = GeometryOf(tensors.images);
    const uint8_t* codes = tensors.codes(tensor_);
    if (!in_place_) {
      for (size_t plane = 0; plane < planes_.size(); ++plane) {
        StartSpread(planes_[plane], codes, g.plane_bytes / kQuad,
                    reinterpret_cast<uint32_t*>(room + plane * g.plane_bytes));
      }
      codes = room;
    }
    const Division division = Divide(g, multiprocessors_);
    if (division.parts == 1) {
      return StartTile(division.tile, g, 1, codes, fragments_.as<uint32_t>(), UseSteps{steps});
    }
    int32_t* const parts = reinterpret_cast<int32_t*>(room + SpreadBytes(tensors.images));
    StartTile(division.tile, g, division.parts, codes, fragments_.as<uint32_t>(),
              KeepPart<int32_t>{parts, g.pixels, outputs_});
    StartQuads<int32_t>(g.pixels, steps, SumParts<int32_t>{parts, division.parts, g.pixels, outputs_});
  }

  const char* Kernel() const override { return "cuda_int8_mma"; }

 private:
  binary_mma::Geometry GeometryOf(int images) const {
    binary_mma::Geometry g = geometry_;
    g.pixels = images * g.out_pixels;
    g.plane_bytes = static_cast<int>(PlaneBytes(images));
    return g;
  }

  size_t PlaneBytes(int images) const {
    return static_cast<size_t>(images) * input_.pixels() * binary_mma::PixelBytes(geometry_);
  }
  size_t SpreadBytes(int images) const { return in_place_ ? 0 : planes_.size() * PlaneBytes(images); }
  size_t PartBytes(int images) const {
    return sizeof(int32_t) * outputs_ *
           MostPartPixels(GeometryOf(images).pixels, SmallTile::kBlockPixels,
                          CeilDiv(geometry_.group_outputs, SmallTile::kBlockOutputs) * geometry_.groups,
                          multiprocessors_);
  }

  void StartSpread(const LevelBytes& levels, const uint8_t* codes, int64_t words, uint32_t* spread) const {
    const SpreadCodes all = {levels,
                             codes,
                             static_cast<int>(PixelStride(input_)),
                             geometry_.groups,
                             group_channels_,
                             geometry_.channel_blocks * (kUnit / kQuad),
                             spread};
    LaunchKernel(Spread, static_cast<unsigned>((words + kPixelThreads - 1) / kPixelThreads), kPixelThreads, 0,
                 words, all);
  }

  DeviceBytes UploadFragments(const StageInfo& stage, const ConvolutionInfo& info) const {
    const uint8_t* const bits = stage.arrays[0].bytes;
    const int64_t row_bytes = (info.weights + 7) / 8;
    std::vector<uint32_t> fragments(binary_mma::FragmentWords(geometry_));
    for (size_t word = 0; word < fragments.size(); ++word) {
      binary_mma::EachSign(
          geometry_, static_cast<int64_t>(word), [&](const binary_mma::FragmentPlace& place) {
            const int channel = place.unit % geometry_.channel_blocks * kUnit + place.channel;
            if (place.unit >= geometry_.units || channel >= group_channels_ ||
                place.output >= geometry_.group_outputs) {
              return;
            }
            const int64_t bit = int64_t{place.unit / geometry_.channel_blocks} * group_channels_ + channel;
            const int64_t row = int64_t{place.group} * geometry_.group_outputs + place.output;
            fragments[word] |= (uint32_t{bits[row * row_bytes + bit / 8]} >> bit % 8 & 1) << place.bit;
          });
    }
    return Upload(fragments);
  }

  const TensorInfo input_;
  const int tensor_, outputs_, group_channels_;
  const std::vector<LevelBytes> planes_;
  /// The tensor's codes are what is multiplied.
  const bool in_place_;
  /// Without what depends on the number of images.
  const binary_mma::Geometry geometry_;
  const int multiprocessors_;
  const DeviceBytes fragments_;
};

}  // namespace

std::unique_ptr<Stage> MakeBinaryConvolution(const Plan& plan, const StageInfo& stage) {
  return std::make_unique<BinaryConvolution>(plan, stage, ReadConvolution(plan, stage));
}

}  // namespace gpu
}  // namespace lowbit
}  // namespace caffe
