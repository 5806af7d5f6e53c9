#!/usr/bin/env bash
# A night on several machines over ssh, with GNU parallel; then one summary here.
#
#   HOSTS=alice,bob,: raft-chaos/recipes/over-ssh.sh night
#
# Each host takes one shard of the seeds, on all its cores; ":" is this machine. The tool and the plans are copied to a folder of
# their own, which goes afterwards. MAX_TIME, TOOL and PLANS have their defaults below.
set -euo pipefail
out=${1:?the folder for the results}
hosts=${HOSTS:?the hosts, separated by commas; : is this machine}
tool=${TOOL:-target/ci/raft-chaos}
plans=${PLANS:-raft-chaos/plans}
max_time=${MAX_TIME:-8h}

mkdir -p "$out"
kit=$(mktemp -d "$out/kit.XXXXXX")
trap 'rm -rf "$kit"' EXIT
cp "$tool" "$kit/raft-chaos"
cp -r "$plans" "$kit/plans"
IFS=, read -ra of <<<"$hosts"

# One job a host. A soak that found something has done its work; what did not work at all fails here.
cd "$kit"
seq "${#of[@]}" | parallel --sshlogin "$hosts" --jobs 1 --workdir . \
    --transferfile raft-chaos --transferfile plans --return "shard-{}" --cleanup --halt soon,fail=1 \
    "./raft-chaos soak plans --tag nightly --stores memory,rocksdb --shard {}/${#of[@]} --max-time $max_time \
        --progress plain --out shard-{}; case \$? in 64|69|70|130) exit 1;; *) exit 0;; esac"
cd - >/dev/null
mv "$kit"/shard-* "$out"/
"$tool" merge "$out"/shard-* --out "$out/all"
