#!/usr/bin/env bash
# All eight methods x 3 seeds with the small preset, two runs at a time, each on one core; what is
# done is kept, what was interrupted goes on. Then: uv run python results/report.py results/small
#
# In this preset QC-BFN chooses among 8 instead of 32: on a CPU its 32 x 10 flow passes per update
# would take more time than all other methods together.
set -euo pipefail
cd "$(dirname "$0")/../.."
task=cube-single-play-singletask-task1-v0
data=data/cube-single-play-v0-collected-100.npz
[ -e "$data" ] || uv run dfp data collect cube-single-play-v0 --episodes 100 --out "$data"

one() {
    method=$1 seed=$2 run=runs/small/$1/seed$2
    if [ -d "$run" ]; then
        taskset -c "$SLOT" uv run --no-sync dfp resume "$run"
    else
        taskset -c "$SLOT" uv run --no-sync dfp train "$task" --preset small --method "$method" --seed "$seed" \
            --data "$data" --processes 1 --no-video --run "$run"
    fi
    mkdir -p "results/small/$method/seed$seed"
    cp "$run/eval.csv" "results/small/$method/seed$seed/"
}
export -f one
export task data
for seed in 0 1 2; do
    for method in dfp qc-fql mvp dfp-bc qc-bfn mvp-topk fql bfn; do echo "$method $seed"; done
done | xargs -P 2 -L 1 --process-slot-var=SLOT bash -c 'one "$@"' one
