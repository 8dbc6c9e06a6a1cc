#include "caffe/util/signal_handler.h"

#include <signal.h>

#include <atomic>

namespace caffe {

namespace {

// All that a signal handler may touch: lock-free atomics.
static_assert(std::atomic<bool>::is_always_lock_free, "signal handlers need lock-free flags");

std::atomic<bool> sigint_pending{false};
std::atomic<bool> sighup_pending{false};
std::atomic<bool> installed{false};

struct Watched {
  int number;
  bool is_under_mpirun_only;
  bool is_installed = false;
  struct sigaction previous = {};
};

Watched watched[] = {{SIGINT, false}, {SIGHUP, false}, {SIGTERM, true}, {SIGUSR1, true}, {SIGUSR2, true}};

void NoteSignal(int number) {
  (number == SIGHUP || number == SIGUSR2 ? sighup_pending : sigint_pending) = true;
}

void Install(Watched* signal) {
  struct sigaction action = {};
  action.sa_handler = NoteSignal;
  // Reads and writes that a signal interrupts go on by themselves.
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  sigaction(signal->number, &action, &signal->previous);
  signal->is_installed = true;
}

void Restore(Watched* signal) {
  if (signal->is_installed) sigaction(signal->number, &signal->previous, nullptr);
  signal->is_installed = false;
}

}  // namespace

SignalHandler::SignalHandler(SolverAction::Enum SIGINT_action, SolverAction::Enum SIGHUP_action,
                             bool is_under_mpirun)
    : SIGINT_action_(SIGINT_action), SIGHUP_action_(SIGHUP_action) {
  CHECK(!installed.exchange(true)) << "another SignalHandler watches this process: destroy it first";
  sigint_pending = sighup_pending = false;
  for (Watched& signal : watched) {
    if (is_under_mpirun || !signal.is_under_mpirun_only) Install(&signal);
  }
}

SignalHandler::~SignalHandler() {
  for (Watched& signal : watched) Restore(&signal);
  installed = false;
}

ActionCallback SignalHandler::GetActionFunction() {
  return [sigint_action = SIGINT_action_, sighup_action = SIGHUP_action_] {
    if (sighup_pending.exchange(false)) return sighup_action;
    if (sigint_pending.exchange(false)) return sigint_action;
    return SolverAction::NONE;
  };
}

}  // namespace caffe
