#!/usr/bin/env bash
# Every fuzz target, or those that are named, for FUZZ_SECONDS (default 60) each, on stable Rust: libFuzzer with coverage
# from LLVM's own pass. It begins with fuzz/seeds (text) and what fuzz/seeds.rs makes (binary). The corpus grows in
# target/fuzz-corpus; what breaks is kept in target/fuzz-artifacts and becomes a test.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
triple=$(rustc -vV | sed -n 's/^host: //p')
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags="$flags -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
# --target keeps the flags away from build scripts.
RUSTFLAGS="$flags" cargo build --release --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --target "$triple"
programs="target/fuzz/$triple/release"
mkdir -p target/fuzz-artifacts target/fuzz-corpus
SEEDS_FOLDER=target/fuzz-corpus "$programs/seeds" -runs=0 2>/dev/null
names=("$@")
[ ${#names[@]} -gt 0 ] || mapfile -t names < <(basename -s .rs fuzz/targets/*.rs)
failed=0
for name in "${names[@]}"; do
  mkdir -p "target/fuzz-corpus/$name"
  folders=("target/fuzz-corpus/$name")
  [ ! -d "fuzz/seeds/$name" ] || folders+=("fuzz/seeds/$name")
  echo "== $name"
  "$programs/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="target/fuzz-artifacts/$name-" "${folders[@]}" 2>&1 \
    | grep -aE '^(stat::number_of_executed_units|SUMMARY|==|artifact|thread)' || failed=1
  [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
done
exit "$failed"
