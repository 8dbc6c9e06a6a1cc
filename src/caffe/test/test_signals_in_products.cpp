// A signal may come while a product is computed.
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <vector>

#include "caffe/util/math_functions.hpp"

namespace caffe {

namespace {

std::atomic<int> signals{0}, signals_elsewhere{0};
char* stack_begin;
char* stack_end;

// Where a handler's variables are, there its frame was written.
void NoteStack(int) {
  const char* const place = static_cast<char*>(__builtin_frame_address(0));
  ++signals;
  if (place < stack_begin || place >= stack_end) ++signals_elsewhere;
}

}  // namespace

// Generated code may use the stack pointer for something else: what is before its memory would be
// overwritten.
TEST(SignalsInProductsTest, FindTheStackOfTheirThread) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_getattr_np(pthread_self(), &attributes), 0);
  void* stack;
  size_t stack_bytes;
  ASSERT_EQ(pthread_attr_getstack(&attributes, &stack, &stack_bytes), 0);
  pthread_attr_destroy(&attributes);
  stack_begin = static_cast<char*>(stack);
  stack_end = stack_begin + stack_bytes;

  struct sigaction action = {}, before;
  action.sa_handler = NoteStack;
  action.sa_flags = SA_RESTART;
  ASSERT_EQ(sigaction(SIGALRM, &action, &before), 0);
  // For this thread: others would take what it is kept from.
  sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGALRM;
  event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  timer_t timer;
  ASSERT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  constexpr int kNanoseconds = 100000, kSignals = 300;
  const itimerspec often = {{0, kNanoseconds}, {0, kNanoseconds}};
  ASSERT_EQ(timer_settime(timer, 0, &often, nullptr), 0);
  constexpr int kRows = 7, kColumns = 800, kInner = 500;
  const std::vector<float> a(kRows * kInner, 1), b(kInner * kColumns, 1);
  std::vector<float> c(kRows * kColumns);
  while (signals < kSignals) {
    for (const CBLAS_TRANSPOSE trans_a : {CblasNoTrans, CblasTrans}) {
      for (const CBLAS_TRANSPOSE trans_b : {CblasNoTrans, CblasTrans}) {
        caffe_cpu_gemm<float>(trans_a, trans_b, kRows, kColumns, kInner, 1, a.data(), b.data(), 0, c.data());
      }
    }
  }
  timer_delete(timer);
  sigaction(SIGALRM, &before, nullptr);
  EXPECT_EQ(signals_elsewhere, 0);
  EXPECT_EQ(c[0], kInner);
}

}  // namespace caffe
