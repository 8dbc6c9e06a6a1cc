#ifndef CAFFE_UTIL_COPY_FIELD_HPP_
#define CAFFE_UTIL_COPY_FIELD_HPP_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

namespace caffe {

/**
 * @brief Copies what a field holds to a field of another message.
 *
 * The types are the same, or both integers, or both enums (whose numbers then agree). A single value sets a
 * single field, and all values are added to a repeated one.
 *
 * @throws Error where a value has no place in the other type.
 */
void CopyField(const google::protobuf::Message& from, const google::protobuf::FieldDescriptor* source,
               google::protobuf::Message* to, const google::protobuf::FieldDescriptor* target);

}  // namespace caffe

#endif  // CAFFE_UTIL_COPY_FIELD_HPP_
