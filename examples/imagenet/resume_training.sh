#!/usr/bin/env bash
# Goes on with a training at its newest snapshot: resume_training.sh RUN_FOLDER [more flags of `caffe train`].
set -euo pipefail
if [ $# -eq 0 ] || [ ! -f "$1/solver.prototxt" ]; then
  echo "resume_training.sh: give the folder of a run, with its solver.prototxt and snapshots" >&2
  exit 1
fi
cd "$1"
shift
if ! compgen -G '*.solverstate*' >/dev/null; then
  echo "resume_training.sh: there is no .solverstate in $PWD: begin with train.sh" >&2
  exit 1
fi
caffe train -solver solver.prototxt -resume auto "$@"
