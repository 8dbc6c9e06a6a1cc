/*
 * Scores an image with a packed model, from C.
 *
 *   cc classify.c -I../../include -L../../build/lib -lhwgq -Wl,-rpath,../../build/lib -o classify
 *   ./classify model.hwgq image.raw
 *
 * image.raw holds the input's values: 32-bit floats, channel by channel, row by row. Prints the number and
 * the score of the class that scores highest.
 */
#include <stdio.h>
#include <stdlib.h>

#include "caffe/lowbit/hwgq.h"

/* Reads exactly `count` floats; returns 0 where the file has fewer or more. */
static int read_floats(const char* path, float* values, size_t count) {
  FILE* const file = fopen(path, "rb");
  if (!file) return 0;
  const int right = fread(values, sizeof(float), count, file) == count && fgetc(file) == EOF;
  fclose(file);
  return right;
}

int main(int argc, char** argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: classify model.hwgq image.raw\n");
    return 1;
  }
  hwgq_net* const net = hwgq_load(argv[1]);
  if (!net) {
    fprintf(stderr, "classify: %s\n", hwgq_error());
    return 1;
  }
  const hwgq_blob* const input = hwgq_input(net, 0);
  const hwgq_blob* const output = hwgq_output(net, 0);
  float* const image = malloc(input->elements * sizeof(float));
  float* const scores = malloc(output->elements * sizeof(float));
  int status = 1;
  if (!image || !scores) {
    fprintf(stderr, "classify: out of memory\n");
  } else if (!read_floats(argv[2], image, input->elements)) {
    fprintf(stderr, "classify: %s must hold %lld floats\n", argv[2], (long long)input->elements);
  } else if (hwgq_forward(net, 1, (const float* const*)&image, &scores, 1) != 0) {
    fprintf(stderr, "classify: %s\n", hwgq_error());
  } else {
    int64_t best = 0;
    for (int64_t i = 1; i < output->elements; ++i) {
      if (scores[i] > scores[best]) best = i;
    }
    printf("%lld %.6f\n", (long long)best, scores[best]);
    status = 0;
  }
  free(scores);
  free(image);
  hwgq_free(net);
  return status;
}
