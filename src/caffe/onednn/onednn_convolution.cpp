// Convolutions of libcaffe_onednn: see caffe/util/onednn_library.hpp.
#include <algorithm>
#include <functional>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>

#include <tuple>
#include <unordered_map>

#include "caffe/util/convolution_engine.hpp"
#include "caffe/util/parallel_for.hpp"
#include "caffe/util/scratch_memory.hpp"
#include "caffe/util/target_clones.hpp"
#include "one_dnn.hpp"
#include "without_signals.hpp"

namespace caffe {

namespace {

using dnnl::memory;

/// What a thread needs for a piece: images in oneDNN's layout, and so on.
struct Workspace {
  ScratchMemory input, output, scratchpad, weight_gradient;
};

/// Images or weights as oneDNN wants them, maybe in BF16, and the way there from Caffe's layout, or back.
struct Operand {
  memory::desc plain, chosen;
  /// Empty where the two are the same.
  dnnl::reorder reorder;

  bool is_plain() const { return !reorder; }
};

memory::desc Plain(const memory::dims& dims) {
  static const memory::format_tag kTags[] = {memory::format_tag::abc, memory::format_tag::abcd,
                                             memory::format_tag::abcde, memory::format_tag::abcdef};
  return {dims, memory::data_type::f32, kTags[dims.size() - 3]};
}

memory::desc Any(const memory::dims& dims, memory::data_type type = memory::data_type::f32) {
  return {dims, type, memory::format_tag::any};
}

Operand From(const memory::dims& dims, const memory::desc& chosen) {
  Operand operand = {Plain(dims), chosen, {}};
  if (operand.plain != chosen) operand.reorder = dnnl::reorder({Cpu(), operand.plain, Cpu(), chosen});
  return operand;
}

Operand To(const memory::dims& dims, const memory::desc& chosen) {
  Operand operand = {Plain(dims), chosen, {}};
  if (operand.plain != chosen) operand.reorder = dnnl::reorder({Cpu(), chosen, Cpu(), operand.plain});
  return operand;
}

enum class Kind { kForward, kBackwardData, kBackwardWeights, kBackwardDataBF16, kBackwardWeightsBF16 };

bool IsBackwardData(Kind kind) { return kind == Kind::kBackwardData || kind == Kind::kBackwardDataBF16; }
bool IsBF16(Kind kind) { return kind == Kind::kBackwardDataBF16 || kind == Kind::kBackwardWeightsBF16; }

/// One of the three operations for so many images, to be run by so many threads.
struct Operation {
  dnnl::primitive primitive;
  Operand input, output;
  memory::desc weights, scratchpad;
};

/// Weights in the layouts that operations asked for.
class ArrangedWeights {
 public:
  ArrangedWeights(const memory::dims& dims, bool is_kept) : plain_(Plain(dims)), is_kept_(is_kept) {}

  const float* Get(const Blob<float>& weights, const memory::desc& desc, dnnl::stream* stream) {
    const float* data = weights.cpu_data();
    if (desc == plain_) return data;
    const SyncedMemory& memory = *weights.data();
    const bool is_known = memory_.lock() == weights.data() && version_ == memory.version();
    if (!is_kept_ || !is_known || memory.is_held_by_others()) {
      for (auto& arrangement : arrangements_) arrangement.is_current = false;
      memory_ = weights.data();
      version_ = memory.version();
    }
    auto found = std::find_if(arrangements_.begin(), arrangements_.end(),
                              [&](const Arrangement& arrangement) { return arrangement.desc == desc; });
    if (found == arrangements_.end()) {
      arrangements_.emplace_back();
      found = std::prev(arrangements_.end());
      found->desc = desc;
      found->data = std::make_unique<ScratchMemory>();
    }
    float* arranged = found->data->Get(desc.get_size());
    if (!found->is_current) {
      const dnnl::reorder reorder({Cpu(), plain_, Cpu(), desc});
      reorder.execute(*stream, {{DNNL_ARG_FROM, At(plain_, data)}, {DNNL_ARG_TO, At(desc, arranged)}});
      stream->wait();
      found->is_current = true;
    }
    return arranged;
  }

 private:
  struct Arrangement {
    memory::desc desc;
    std::unique_ptr<ScratchMemory> data;
    bool is_current = false;
  };

  const memory::desc plain_;
  const bool is_kept_;
  std::weak_ptr<SyncedMemory> memory_;
  uint64_t version_ = 0;
  vector<Arrangement> arrangements_;
};

CAFFE_TARGET_CLONES void Add(int64_t count, const float* x, float* sum) {
  for (int64_t i = 0; i < count; ++i) sum[i] += x[i];
}

/// How a call's images are shared out.
struct Split {
  /// Ranges of images, a thread each; or one range, all threads together on each piece.
  int chunks;
  int threads_inside;
  /// The most images that are computed at once: with what belongs to them they stay in a core's cache.
  int piece;
};

/// Multiplications that are worth a thread.
constexpr int64_t kMultiplyGrain = 1 << 17;

class OneDnnConvolution : public ConvolutionEngine {
 public:
  OneDnnConvolution(const ConvolutionGeometry& geometry, bool keeps_weights)
      : geometry_(geometry),
        strides_(geometry.stride.begin(), geometry.stride.end()),
        pads_(geometry.pad.begin(), geometry.pad.end()),
        weights_(WeightDims(), keeps_weights) {
    for (const int dilation : geometry.dilation) dilates_.push_back(dilation - 1);
  }

  bool Convolve(const ConvolutionImages& images, const float* input, const Blob<float>& weights,
                const float* bias, float* output) override {
    const Kind kind = Kind::kForward;
    return Try([&] {
      const Split split = SplitFor(images, PieceInCache(images));
      if (!Prepare(kind, images, split, bias != nullptr)) return false;
      dnnl::stream stream(Cpu());
      const float* arranged = weights_.Get(weights, WeightsOf(kind, images, split, bias != nullptr), &stream);
      const memory::desc bias_desc({geometry_.out_channels}, memory::data_type::f32, memory::format_tag::a);
      ForPieces(images, split, [&](Workspace* space, int, int first, int num) {
        const Operation& op = Get(kind, images, num, split, bias != nullptr);
        std::unordered_map<int, memory> arguments = {
            {DNNL_ARG_SRC, Load(op.input, input + first * InputSize(images), &space->input)},
            {DNNL_ARG_WEIGHTS, At(op.weights, arranged)},
            {DNNL_ARG_SCRATCHPAD, Scratchpad(op, space)}};
        if (bias) arguments[DNNL_ARG_BIAS] = At(bias_desc, bias);
        Store(op, op.output, DNNL_ARG_DST, std::move(arguments), &space->output,
              output + first * OutputSize(images));
      });
      return true;
    });
  }

  bool ConvolveTransposed(const ConvolutionImages& images, const float* output, const Blob<float>& weights,
                          float* input, Precision precision) override {
    const Kind kind = precision == Precision::kBF16 ? Kind::kBackwardDataBF16 : Kind::kBackwardData;
    return Try([&] {
      const Split split = SplitFor(images, PieceInCache(images));
      if (!Prepare(kind, images, split, false)) return false;
      dnnl::stream stream(Cpu());
      const float* arranged = weights_.Get(weights, WeightsOf(kind, images, split, false), &stream);
      ForPieces(images, split, [&](Workspace* space, int, int first, int num) {
        const Operation& op = Get(kind, images, num, split, false);
        Store(op, op.input, DNNL_ARG_DIFF_SRC,
              {{DNNL_ARG_DIFF_DST, Load(op.output, output + first * OutputSize(images), &space->output)},
               {DNNL_ARG_WEIGHTS, At(op.weights, arranged)},
               {DNNL_ARG_SCRATCHPAD, Scratchpad(op, space)}},
              &space->input, input + first * InputSize(images));
      });
      return true;
    });
  }

  bool AddWeightGradient(const ConvolutionImages& images, const float* input, const float* output,
                         float* weight_diff, Precision precision) override {
    const Kind kind = precision == Precision::kBF16 ? Kind::kBackwardWeightsBF16 : Kind::kBackwardWeights;
    return Try([&] {
      const Split split = SplitForWeights(images);
      if (!Prepare(kind, images, split, false)) return false;
      const memory::desc gradient = WeightsOf(kind, images, split, false);
      const size_t bytes = gradient.get_size();
      vector<ScratchMemory> sums(split.chunks);
      ForPieces(images, split, [&](Workspace* space, int chunk, int first, int num) {
        const Operation& op = Get(kind, images, num, split, false);
        const bool is_first = first == images.num * static_cast<int64_t>(chunk) / split.chunks;
        float* sum = sums[chunk].Get(bytes);
        float* part = is_first ? sum : space->weight_gradient.Get(bytes);
        dnnl::stream stream(Cpu());
        op.primitive.execute(
            stream,
            {{DNNL_ARG_SRC, Load(op.input, input + first * InputSize(images), &space->input)},
             {DNNL_ARG_DIFF_DST, Load(op.output, output + first * OutputSize(images), &space->output)},
             {DNNL_ARG_DIFF_WEIGHTS, At(gradient, part)},
             {DNNL_ARG_SCRATCHPAD, Scratchpad(op, space)}});
        stream.wait();
        if (!is_first) Add(bytes / sizeof(float), part, sum);
      });
      const memory::desc plain = Plain(WeightDims());
      dnnl::post_ops add;
      add.append_sum(1);
      dnnl::primitive_attr attributes;
      attributes.set_post_ops(add);
      const dnnl::reorder reorder({Cpu(), gradient, Cpu(), plain, attributes});
      dnnl::stream stream(Cpu());
      for (ScratchMemory& sum : sums) {
        reorder.execute(
            stream, {{DNNL_ARG_FROM, At(gradient, sum.Get(bytes))}, {DNNL_ARG_TO, At(plain, weight_diff)}});
      }
      stream.wait();
      return true;
    });
  }

 private:
  using Key = std::tuple<Kind, int /*images*/, int /*threads*/, bool /*bias*/, vector<int> /*input*/>;

  // What oneDNN throws says neither that it was oneDNN nor, mostly, why.
  static bool Try(const std::function<bool()>& body) {
    try {
      return body();
    } catch (const dnnl::error& error) {
      throw Error(string("oneDNN failed: ") + error.what() + "; CAFFE_ENGINE=CAFFE does without it");
    }
  }

  static int64_t Product(const vector<int>& sizes) {
    int64_t product = 1;
    for (const int size : sizes) product *= size;
    return product;
  }
  int64_t InputSize(const ConvolutionImages& images) const {
    return geometry_.in_channels * Product(images.input);
  }
  int64_t OutputSize(const ConvolutionImages& images) const {
    return geometry_.out_channels * Product(images.output);
  }
  int64_t Multiplications(const ConvolutionImages& images) const {
    return OutputSize(images) * (geometry_.in_channels / geometry_.group) * Product(geometry_.kernel);
  }

  static memory::dims ImageDims(int num, int channels, const vector<int>& sizes) {
    memory::dims dims = {num, channels};
    dims.insert(dims.end(), sizes.begin(), sizes.end());
    return dims;
  }
  memory::dims WeightDims() const {
    memory::dims dims = {geometry_.out_channels / geometry_.group, geometry_.in_channels / geometry_.group};
    if (geometry_.group > 1) dims.insert(dims.begin(), geometry_.group);
    dims.insert(dims.end(), geometry_.kernel.begin(), geometry_.kernel.end());
    return dims;
  }

  int PieceInCache(const ConvolutionImages& images) const {
    constexpr int64_t kBytes = 1 << 20;
    return static_cast<int>(
        std::max<int64_t>(kBytes / (sizeof(float) * (InputSize(images) + OutputSize(images))), 1));
  }

  Split SplitFor(const ConvolutionImages& images, int piece) const {
    const int threads = ParallelThreads();
    if (images.num < threads) return {1, threads, images.num};
    const int64_t grain = kMultiplyGrain / std::max<int64_t>(Multiplications(images), 1) + 1;
    return {ParallelChunks(images.num, grain), 1, piece};
  }

  // Each piece makes a gradient of all weights, so that it must be large enough to be worth that.
  Split SplitForWeights(const ConvolutionImages& images) const {
    constexpr int64_t kPositions = 2048;
    const int64_t outputs = std::max<int64_t>(Product(images.output), 1);
    const int threads = ParallelThreads();
    if (images.num * outputs < threads * kPositions / 2) return {1, threads, images.num};
    return SplitFor(images, static_cast<int>(std::max<int64_t>(kPositions / outputs, PieceInCache(images))));
  }

  // Calls body(first, number) for the pieces of a chunk: as few as may be, and of even size.
  template <typename Body>
  static void ForPiecesOf(const ConvolutionImages& images, const Split& split, int chunk, Body body) {
    const int64_t begin = images.num * static_cast<int64_t>(chunk) / split.chunks;
    const int64_t count = images.num * static_cast<int64_t>(chunk + 1) / split.chunks - begin;
    const int64_t pieces = (count + split.piece - 1) / split.piece;
    for (int64_t i = 0; i < pieces; ++i) {
      const int64_t first = count * i / pieces, last = count * (i + 1) / pieces;
      body(static_cast<int>(begin + first), static_cast<int>(last - first));
    }
  }

  // Calls body(workspace, chunk, first, number) for all pieces.
  template <typename Body>
  static void ForPieces(const ConvolutionImages& images, const Split& split, Body body) {
    if (split.threads_inside > 1) {
      const WithoutSignals quiet;
      // Too large to be kept, as it is for all threads.
      Workspace workspace;
      ForPiecesOf(images, split, 0, [&](int first, int num) { body(&workspace, 0, first, num); });
      return;
    }
    ParallelFor(split.chunks, 1, [&](int64_t begin, int64_t end) {
      const ThreadsOfOneDnn one(1);
      const WithoutSignals quiet;
      static thread_local Workspace workspace;
      for (int64_t chunk = begin; chunk < end; ++chunk) {
        ForPiecesOf(images, split, static_cast<int>(chunk),
                    [&](int first, int num) { body(&workspace, static_cast<int>(chunk), first, num); });
      }
    });
  }

  // Whether oneDNN gains something, by measurements on AVX-512. It computes blocks of 16 channels, whatever
  // part of them there is, but for the inputs of a forward pass and of its gradient by the weights.
  bool IsWorthwhile(Kind kind) const {
    constexpr int kBlock = 16, kFewInputs = 8;
    const int group = geometry_.group, inputs = geometry_.in_channels / group;
    const int outputs = geometry_.out_channels / group;
    if (inputs >= kFewInputs || (group > 1 && inputs == 1 && outputs == 1)) return true;
    const int blocks = (outputs + kBlock - 1) / kBlock;
    return !IsBackwardData(kind) && 4 * outputs >= 3 * kBlock * blocks;
  }

  // Makes the operations of all pieces; false where there is nothing to gain, or oneDNN has only its slow
  // reference for one.
  bool Prepare(Kind kind, const ConvolutionImages& images, const Split& split, bool bias) {
    if (!IsWorthwhile(kind)) return false;
    // Nets with images of ever new sizes must not fill the memory.
    constexpr size_t kMaxOperations = 64;
    if (operations_.size() > kMaxOperations) operations_.clear();
    const ThreadsOfOneDnn threads(split.threads_inside);
    bool is_fast = true;
    for (int chunk = 0; chunk < split.chunks; ++chunk) {
      ForPiecesOf(images, split, chunk, [&](int, int num) {
        const Key key(kind, num, split.threads_inside, bias, images.input);
        auto found = operations_.find(key);
        if (found == operations_.end()) {
          found = operations_.emplace(key, Make(kind, images, num, bias)).first;
        }
        is_fast = is_fast && found->second.primitive;
      });
    }
    return is_fast;
  }

  const Operation& Get(Kind kind, const ConvolutionImages& images, int num, const Split& split,
                       bool bias) const {
    return operations_.at(Key(kind, num, split.threads_inside, bias, images.input));
  }

  // All pieces have their weights in one layout.
  memory::desc WeightsOf(Kind kind, const ConvolutionImages& images, const Split& split, bool bias) const {
    memory::desc weights;
    ForPiecesOf(images, split, 0,
                [&](int, int num) { weights = Get(kind, images, num, split, bias).weights; });
    return weights;
  }

  Operation Make(Kind kind, const ConvolutionImages& images, int num, bool bias) {
    const memory::dims input = ImageDims(num, geometry_.in_channels, images.input);
    const memory::dims output = ImageDims(num, geometry_.out_channels, images.output);
    // What a gradient is made of may be BF16; it is a float itself.
    const auto type = IsBF16(kind) ? memory::data_type::bf16 : memory::data_type::f32;
    memory::desc& known = weight_descs_[kind];
    const memory::desc read_weights = known.is_zero() ? Any(WeightDims(), type) : known;
    const memory::desc made_weights = known.is_zero() ? Any(WeightDims()) : known;
    const memory::desc bias_desc =
        bias ? memory::desc({geometry_.out_channels}, memory::data_type::f32, memory::format_tag::a)
             : memory::desc();
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const auto algorithm = dnnl::algorithm::convolution_direct;
    const dnnl::convolution_forward::primitive_desc forward(
        Cpu(), dnnl::prop_kind::forward_training, algorithm, Any(input, type),
        kind == Kind::kForward ? read_weights : Any(WeightDims(), type), bias_desc, Any(output, type),
        strides_, dilates_, pads_, pads_, attributes);
    Operation op;
    const auto fill = [&](const auto& desc, const memory::desc& in, const memory::desc& chosen,
                          const memory::desc& out, auto primitive) {
      if (string(desc.impl_info_str()).find("ref:") == 0) return;
      op.primitive = primitive;
      op.weights = known = chosen;
      op.scratchpad = desc.scratchpad_desc();
      op.input = IsBackwardData(kind) ? To(input, in) : From(input, in);
      op.output = kind == Kind::kForward ? To(output, out) : From(output, out);
    };
    if (kind == Kind::kForward) {
      fill(forward, forward.src_desc(), forward.weights_desc(), forward.dst_desc(),
           dnnl::convolution_forward(forward));
    } else if (IsBackwardData(kind)) {
      const dnnl::convolution_backward_data::primitive_desc desc(Cpu(), algorithm, Any(input), read_weights,
                                                                 Any(output, type), strides_, dilates_, pads_,
                                                                 pads_, forward, attributes);
      fill(desc, desc.diff_src_desc(), desc.weights_desc(), desc.diff_dst_desc(),
           dnnl::convolution_backward_data(desc));
    } else {
      const dnnl::convolution_backward_weights::primitive_desc desc(
          Cpu(), algorithm, Any(input, type), made_weights, Any(output, type), strides_, dilates_, pads_,
          pads_, forward, attributes);
      fill(desc, desc.src_desc(), desc.diff_weights_desc(), desc.diff_dst_desc(),
           dnnl::convolution_backward_weights(desc));
    }
    return op;
  }

  static memory Scratchpad(const Operation& op, Workspace* space) {
    return At(op.scratchpad, space->scratchpad.Get(op.scratchpad.get_size()));
  }

  // Images as the operation takes them.
  static memory Load(const Operand& operand, const float* images, ScratchMemory* buffer) {
    if (operand.is_plain()) return At(operand.plain, images);
    const memory arranged = At(operand.chosen, buffer->Get(operand.chosen.get_size()));
    dnnl::stream stream(Cpu());
    operand.reorder.execute(stream, {{DNNL_ARG_FROM, At(operand.plain, images)}, {DNNL_ARG_TO, arranged}});
    stream.wait();
    return arranged;
  }

  // Runs the operation, and writes what it makes to images.
  static void Store(const Operation& op, const Operand& made, int argument,
                    std::unordered_map<int, memory> arguments, ScratchMemory* buffer, float* images) {
    const memory plain = At(made.plain, images);
    const memory chosen = made.is_plain() ? plain : At(made.chosen, buffer->Get(made.chosen.get_size()));
    arguments[argument] = chosen;
    dnnl::stream stream(Cpu());
    op.primitive.execute(stream, arguments);
    if (!made.is_plain()) {
      made.reorder.execute(stream, {{DNNL_ARG_FROM, chosen}, {DNNL_ARG_TO, plain}});
    }
    stream.wait();
  }

  const ConvolutionGeometry geometry_;
  memory::dims strides_, dilates_, pads_;
  ArrangedWeights weights_;
  std::map<Kind, memory::desc> weight_descs_;
  std::map<Key, Operation> operations_;
};

}  // namespace

}  // namespace caffe

extern "C" caffe::ConvolutionEngine* caffe_make_onednn_convolution(const caffe::ConvolutionGeometry* geometry,
                                                                   bool keeps_weights) {
  constexpr size_t kMostAxes = 3;
  if (geometry->kernel.empty() || geometry->kernel.size() > kMostAxes) return nullptr;
  return new caffe::OneDnnConvolution(*geometry, keeps_weights);
}
