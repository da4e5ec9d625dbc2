#!/usr/bin/env bash
# Starts a command of cli.py on every device of this machine, or of several machines, by torchrun.
#
#   scripts/torchrun.sh fit --config configs/lmfusion/llama3_8b.yaml --config configs/strategy/fsdp2.yaml
#
# Several machines: the same line on each of them, with the same HEAD and its own NODE_RANK.
#
#   NUM_NODES=8 NODE_RANK=0 HEAD=10.0.0.1 scripts/torchrun.sh fit ...
#
# Variables:
#   NUM_NODES   machines (1)
#   NODE_RANK   number of this one, from 0
#   HEAD        name or address of machine 0 (127.0.0.1)
#   PORT        a free port of machine 0 (29500)
#   PER_NODE    processes a machine (gpu: one a GPU); on a CPU a number
#   TORCHRUN    the command that starts processes (torchrun)
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -eq 0 ]; then
  echo "usage: scripts/torchrun.sh fit --config CONFIG --config configs/strategy/STRATEGY.yaml ..." >&2
  exit 2
fi
nodes=${NUM_NODES:-1}
if [ "$nodes" -gt 1 ] && [ -z "${NODE_RANK:-}" ]; then
  echo "NUM_NODES is $nodes: give NODE_RANK, the number of this machine, and HEAD, the address of machine 0" >&2
  exit 2
fi
exec "${TORCHRUN:-torchrun}" \
  --nnodes "$nodes" --node-rank "${NODE_RANK:-0}" --nproc-per-node "${PER_NODE:-gpu}" \
  --rdzv-backend static --master-addr "${HEAD:-127.0.0.1}" --master-port "${PORT:-29500}" \
  cli.py "$@"
