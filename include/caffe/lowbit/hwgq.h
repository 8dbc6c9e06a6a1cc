#ifndef CAFFE_LOWBIT_HWGQ_H_
#define CAFFE_LOWBIT_HWGQ_H_

/*
 * Inference with packed models from C, for embedding: link with libhwgq, which needs the C++ standard library
 * alone. `caffe pack` makes the models; docs/packed-format.md describes them.
 *
 *   hwgq_net* net = hwgq_load("model.hwgq");
 *   if (!net || hwgq_forward(net, 1, &image, &scores, 0) != 0) fprintf(stderr, "%s\n", hwgq_error());
 *   hwgq_free(net);
 *
 * Functions that can fail say so by what they return, and hwgq_error() says why. Threads may share a net.
 * Names and meanings here stay as they are; what is new comes beside them.
 */

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hwgq_net hwgq_net;

/* An input or output of a net. */
typedef struct hwgq_blob {
  const char* name;
  /* Dimensions of one image, in Caffe's order: channels, height, width. */
  const int64_t* dimensions;
  size_t axes;
  /* Their product. */
  int64_t elements;
} hwgq_blob;

/* Reads a packed model; NULL on failure. */
hwgq_net* hwgq_load(const char* path);

/* The same from memory, which is copied. */
hwgq_net* hwgq_load_memory(const void* model, size_t size);

/* Likewise, for the GPU of a number, 0 or more, which then computes; hwgq_forward takes pointers to its
 * memory, too. libhwgq_cuda.so has to lie beside libhwgq. */
hwgq_net* hwgq_load_gpu(const char* path, int gpu);
hwgq_net* hwgq_load_memory_gpu(const void* model, size_t size, int gpu);

/* Also takes NULL. */
void hwgq_free(hwgq_net* net);

/* How many inputs and outputs there are, and the one at an index; NULL beyond the last. What is returned
 * lives as long as the net. */
size_t hwgq_inputs(const hwgq_net* net);
size_t hwgq_outputs(const hwgq_net* net);
const hwgq_blob* hwgq_input(const hwgq_net* net, size_t index);
const hwgq_blob* hwgq_output(const hwgq_net* net, size_t index);

/*
 * Computes the outputs of `images` images (at least 1). inputs[i] holds images x elements floats of input i,
 * and outputs[i] takes those of output i. At most `threads` threads work; 0 means as many as there are
 * processors. Returns 0, or -1 on failure.
 */
int hwgq_forward(const hwgq_net* net, int64_t images, const float* const* inputs, float* const* outputs,
                 int threads);

/* What went wrong in the calling thread's last call that failed; "" where none did. */
const char* hwgq_error(void);

#ifdef __cplusplus
}
#endif

#endif /* CAFFE_LOWBIT_HWGQ_H_ */
