#include "caffe/util/shared_field_numbers.hpp"

#include <string>

#include "caffe/common.hpp"
#include "caffe/util/wire_misfit.hpp"

namespace caffe {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

namespace {

/// A number shared by two fields: `type` is the one layer type that means BVLC's.
struct SharedNumber {
  int number;
  int private_number;
  const char* type;
  const char* fork_type;
};

constexpr SharedNumber kSharedNumbers[] = {
    {LayerParameter::kBinaryConvolutionParamFieldNumber, LayerParameter::kSwishParamFieldNumber, "Swish",
     "BinaryConvolution"},
    {LayerParameter::kBinaryInnerProductParamFieldNumber, LayerParameter::kClipParamFieldNumber, "Clip",
     "BinaryInnerProduct"},
};

const FieldDescriptor* Field(int number) { return LayerParameter::descriptor()->FindFieldByNumber(number); }

bool Has(const LayerParameter& layer, int number) {
  return layer.GetReflection()->HasField(layer, Field(number));
}

const Message& Payload(const LayerParameter& layer, int number) {
  return layer.GetReflection()->GetMessage(layer, Field(number));
}

/// Moves a payload to the field of another number, which reads the same bytes as its own message.
void Reinterpret(int from, int to, LayerParameter* layer) {
  const Reflection* reflection = layer->GetReflection();
  const std::string bytes = Payload(*layer, from).SerializePartialAsString();
  Message* target = reflection->MutableMessage(layer, Field(to));
  CHECK(target->ParsePartialFromString(bytes)) << "field " << from << " is damaged";
  reflection->ClearField(layer, Field(from));
}

void CheckFits(const LayerParameter& layer, int number, int number_in_file) {
  const Message& payload = Payload(layer, number);
  if (MisfitField(payload) == nullptr && payload.IsInitialized()) return;
  throw Error("field " + std::to_string(number_in_file) + " of the layer is not a " +
                  payload.GetDescriptor()->name() +
                  ", which it is in a layer of this type; the file comes from another fork, or is damaged",
              layer.name(), layer.type());
}

}  // namespace

void SeparateSharedFieldNumbers(NetParameter* net) {
  for (LayerParameter& layer : *net->mutable_layer()) {
    for (const SharedNumber& shared : kSharedNumbers) {
      if (!Has(layer, shared.number)) continue;
      if (layer.type() == shared.type && !Has(layer, shared.private_number)) {
        Reinterpret(shared.number, shared.private_number, &layer);
        CheckFits(layer, shared.private_number, shared.number);
      } else if (layer.type() == shared.fork_type) {
        CheckFits(layer, shared.number, shared.number);
      }
    }
  }
}

bool UsesSharedFieldNumbers(const NetParameter& net) {
  for (const LayerParameter& layer : net.layer()) {
    for (const SharedNumber& shared : kSharedNumbers) {
      if (Has(layer, shared.private_number)) return true;
    }
  }
  return false;
}

void JoinSharedFieldNumbers(NetParameter* net) {
  for (LayerParameter& layer : *net->mutable_layer()) {
    for (const SharedNumber& shared : kSharedNumbers) {
      // The number means BVLC's field in its layer type only, and can carry one payload.
      if (layer.type() != shared.type || Has(layer, shared.number)) continue;
      if (Has(layer, shared.private_number)) Reinterpret(shared.private_number, shared.number, &layer);
    }
  }
}

}  // namespace caffe
