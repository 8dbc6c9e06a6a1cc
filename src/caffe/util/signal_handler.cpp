#include "caffe/util/signal_handler.h"

#include <signal.h>

#include <atomic>

namespace caffe {

namespace {

// All that a signal handler may touch: lock-free atomics.
static_assert(std::atomic<bool>::is_always_lock_free, "signal handlers need lock-free flags");

struct Watched {
  int number;
  std::atomic<bool> pending{false};
  struct sigaction previous = {};
};

Watched sigint{SIGINT};
Watched sighup{SIGHUP};
std::atomic<bool> installed{false};

void NoteSignal(int number) { (number == SIGINT ? sigint : sighup).pending = true; }

void Install(Watched* signal) {
  struct sigaction action = {};
  action.sa_handler = NoteSignal;
  // Reads and writes that a signal interrupts go on by themselves.
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  signal->pending = false;
  sigaction(signal->number, &action, &signal->previous);
}

void Restore(const Watched& signal) { sigaction(signal.number, &signal.previous, nullptr); }

}  // namespace

SignalHandler::SignalHandler(SolverAction::Enum SIGINT_action, SolverAction::Enum SIGHUP_action)
    : SIGINT_action_(SIGINT_action), SIGHUP_action_(SIGHUP_action) {
  CHECK(!installed.exchange(true)) << "another SignalHandler watches this process: destroy it first";
  Install(&sigint);
  Install(&sighup);
}

SignalHandler::~SignalHandler() {
  Restore(sigint);
  Restore(sighup);
  installed = false;
}

ActionCallback SignalHandler::GetActionFunction() {
  return [sigint_action = SIGINT_action_, sighup_action = SIGHUP_action_] {
    if (sighup.pending.exchange(false)) return sighup_action;
    if (sigint.pending.exchange(false)) return sigint_action;
    return SolverAction::NONE;
  };
}

}  // namespace caffe
