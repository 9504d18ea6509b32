# What CI runs is .ci/run; these are its parts, for working.

default: check test

check:
    cargo fmt --all --check
    cargo clippy --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps

test:
    cargo test

# A thousand rounds of real processes and kills, and more seeds in the simulation.
torture:
    TONNAGE_TORTURE=1000 cargo test --release -- --nocapture torture crash

# Two thousand pulls in bad weather, and five hundred that are killed again and again.
weather:
    TONNAGE_PULL_STORMS=2000 TONNAGE_PULL_KILLS=500 cargo test --release --test pull --test pull_engine -- storm kills

# Ratios against b3sum, cp and others, in one run.
bench:
    cargo bench --bench peers

deny:
    cargo deny check

ci:
    .ci/run
