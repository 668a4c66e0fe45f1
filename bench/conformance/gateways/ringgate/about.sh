#!/usr/bin/env bash
# Prints the suite's flags that say in a report whom it is about.
set -euo pipefail
version=$("${RINGGATE:-$LAB/../../target/release/ringgate}" version)
cat <<END
--organization=ringgate
--project=ringgate
--url=${RINGGATE_URL:-https://ringgate.io}
--version=v${version##* }
--contact=${RINGGATE_CONTACT:-@ringgate/maintainers}
END
