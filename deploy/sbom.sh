#!/bin/sh
# Writes what an environment of Python holds: a bill of materials (CycloneDX), and the licences and notices of it all.
# usage: deploy/sbom.sh TOOLS PYTHON DIRECTORY     TOOLS: the programs of an environment made of deploy/sbom.txt
set -eu
mkdir -p "$3"
"$1/cyclonedx-py" environment --output-reproducible --output-file "$3/sbom.cdx.json" "$2"
"$1/pip-licenses" --python="$2" --format=plain-vertical --with-license-file --with-notice-file --no-license-path \
    --output-file="$3/NOTICES.txt"
