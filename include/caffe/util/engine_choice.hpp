#ifndef CAFFE_UTIL_ENGINE_CHOICE_HPP_
#define CAFFE_UTIL_ENGINE_CHOICE_HPP_

namespace caffe {

/**
 * @brief Whether a layer may compute with a library where that is faster, rather than with the plain code.
 *
 * The environment variable CAFFE_ENGINE, CAFFE or DEFAULT, says it for layers that leave their `engine` at
 * DEFAULT.
 *
 * @param wants_caffe whether the layer's `engine` is CAFFE.
 * @throws Error for another value of the variable.
 */
bool MayUseLibraries(bool wants_caffe);

}  // namespace caffe

#endif  // CAFFE_UTIL_ENGINE_CHOICE_HPP_
