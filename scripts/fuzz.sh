#!/usr/bin/env bash
# Every fuzz target for FUZZ_SECONDS (default 60) each, on stable Rust: libFuzzer with coverage from LLVM's own pass.
# The corpus grows in target/fuzz-corpus; a crash is kept in target/fuzz-artifacts and becomes a test.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
triple=$(rustc -vV | sed -n 's/^host: //p')
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
flags="$flags -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
# --target keeps the flags away from build scripts.
RUSTFLAGS="$flags" cargo build --release --manifest-path fuzz/Cargo.toml --target-dir target/fuzz --target "$triple"
mkdir -p target/fuzz-artifacts
failed=0
for source in fuzz/targets/*.rs; do
  name=$(basename "$source" .rs)
  mkdir -p "target/fuzz-corpus/$name"
  echo "== $name"
  "target/fuzz/$triple/release/$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="target/fuzz-artifacts/$name-" "target/fuzz-corpus/$name" $(ls -d "fuzz/seeds/$name" 2>/dev/null || true) 2>&1 \
    | grep -E '^(stat::number_of_executed_units|SUMMARY|==|artifact|thread)' || failed=1
  [ "${PIPESTATUS[0]}" -eq 0 ] || failed=1
done
exit "$failed"
