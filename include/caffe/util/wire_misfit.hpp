#ifndef CAFFE_UTIL_WIRE_MISFIT_HPP_
#define CAFFE_UTIL_WIRE_MISFIT_HPP_

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

namespace caffe {

/**
 * @brief The first field that came from a binary file in another wire type than the message gives it, or
 * null.
 *
 * The parser sets such values aside as unknown, without a word. They mean that the bytes were another
 * message. Looks at the message itself, not at the messages in it.
 */
const google::protobuf::FieldDescriptor* MisfitField(const google::protobuf::Message& message);

}  // namespace caffe

#endif  // CAFFE_UTIL_WIRE_MISFIT_HPP_
