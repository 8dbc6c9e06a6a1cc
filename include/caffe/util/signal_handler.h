#ifndef INCLUDE_CAFFE_UTIL_SIGNAL_HANDLER_H_
#define INCLUDE_CAFFE_UTIL_SIGNAL_HANDLER_H_

#include "caffe/solver.hpp"

namespace caffe {

/**
 * @brief Turns SIGINT (Ctrl-C) and SIGHUP into requests to a solver, for as long as the object lives.
 *
 * The handlers that were there before come back with the destructor. A signal stands until it is asked for;
 * of several of one kind in between, one is answered.
 */
class SignalHandler {
 public:
  /// Under mpirun, which passes other signals on to its processes, SIGUSR1 and SIGTERM count as SIGINT, and
  /// SIGUSR2 as SIGHUP.
  /// @throws Error where the process has another SignalHandler: signals belong to the whole process.
  SignalHandler(SolverAction::Enum SIGINT_action, SolverAction::Enum SIGHUP_action,
                bool is_under_mpirun = false);
  ~SignalHandler();

  /// What Solver::SetActionFunction takes. Each call answers one signal, SIGHUP first: a snapshot that was
  /// asked for is made before a stop.
  ActionCallback GetActionFunction();

 private:
  SolverAction::Enum SIGINT_action_;
  SolverAction::Enum SIGHUP_action_;

  DISABLE_COPY_AND_ASSIGN(SignalHandler);
};

}  // namespace caffe

#endif  // INCLUDE_CAFFE_UTIL_SIGNAL_HANDLER_H_
