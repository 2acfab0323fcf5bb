#!/bin/sh
# Writes behind every image of others the digest that its tag has now, so that nobody can exchange what was tried.
# usage: deploy/digests.sh     needs docker, and the registries that the images come from
set -eu
cd "$(dirname "$0")/.."
digest='(@sha256:[0-9a-f]{64})?'
for file in deploy/Dockerfile docker-compose.yml; do
    sed -nE "s#^(FROM|[[:space:]]+image:)[[:space:]]+([a-z0-9./-]+:[A-Za-z0-9._-]+)$digest.*#\2#p" "$file" \
        | grep -v '^stadspuls' | sort -u | while read -r image; do
        found=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
        sed -i -E "s#([[:space:]])$image$digest#\1$image@$found#" "$file"
        echo "$file: $image@$found"
    done
done
