#include "caffe/util/wire_misfit.hpp"

#include <google/protobuf/unknown_field_set.h>

namespace caffe {

using google::protobuf::FieldDescriptor;
using google::protobuf::UnknownFieldSet;

const FieldDescriptor* MisfitField(const google::protobuf::Message& message) {
  const UnknownFieldSet& unknown = message.GetReflection()->GetUnknownFields(message);
  for (int i = 0; i < unknown.field_count(); ++i) {
    const FieldDescriptor* known = message.GetDescriptor()->FindFieldByNumber(unknown.field(i).number());
    // Values that an enum does not have (yet) are set aside too, in the right wire type.
    const bool new_enum_value = known && known->type() == FieldDescriptor::TYPE_ENUM &&
                                unknown.field(i).type() == google::protobuf::UnknownField::TYPE_VARINT;
    if (known && !new_enum_value) return known;
  }
  return nullptr;
}

}  // namespace caffe
