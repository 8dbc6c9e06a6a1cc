#!/bin/sh
# Prints how many compilations to run at a time: one for each core, but no more than the memory allows.
# A compilation takes up to 1.5 GB.
cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
memory_mb=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo 2>/dev/null)
limit=$(cat /sys/fs/cgroup/memory.max 2>/dev/null)
case $limit in
  '' | max | *[!0-9]*) ;;
  *)
    limit_mb=$((limit / 1048576))
    if [ "$limit_mb" -lt "${memory_mb:-$limit_mb}" ]; then memory_mb=$limit_mb; fi
    ;;
esac
by_memory=$((${memory_mb:-1500} / 1500))
if [ "$by_memory" -lt 1 ]; then by_memory=1; fi
if [ "$cores" -lt "$by_memory" ]; then echo "$cores"; else echo "$by_memory"; fi
