#!/bin/sh
# Writes the secrets that docker-compose.yml asks for to .env, each where it is missing; never changes one that is there.
# usage: deploy/secrets.sh [FILE]
#   STADSPULS_MQTT_NAME   the host name that sensors use, kept in FILE (default: what FILE has, else this machine's)
set -eu
umask 077
file=${1:-.env}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ ! -e "$file" ] || awk 1 "$file" > "$work/env"   # whose last line may have no end
touch "$work/env"

has() { grep -q "^$1=." "$work/env"; }
add() { has "$1" || printf '%s=%s\n' "$1" "$2" >> "$work/env"; }
secret() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }   # hexadecimal: as it is in URLs and configuration files

for key in STADSPULS_OWNER_PASSWORD STADSPULS_WRITER_PASSWORD STADSPULS_READER_PASSWORD POSTGRES_PASSWORD \
    MQTT_HUB_PASSWORD MQTT_SENSORS_PASSWORD GRAFANA_ADMIN_PASSWORD STADSPULS_API_TOKEN; do
    add $key "$(secret)"
done
[ -z "${STADSPULS_MQTT_NAME:-}" ] || add STADSPULS_MQTT_NAME "$STADSPULS_MQTT_NAME"   # which `serve` tells, too
name=$(sed -n 's/^STADSPULS_MQTT_NAME=//p' "$work/env" | tr -d "\"'")
name=${STADSPULS_MQTT_NAME:-${name:-$(hostname)}}
add KAFKA_CLUSTER_ID "$(head -c 16 /dev/urandom | base64 | tr '+/' 'AZ' | tr -d '=')"
if ! has MQTT_CERTIFICATE || ! has MQTT_KEY; then
    if has MQTT_CERTIFICATE || has MQTT_KEY; then
        echo "$file: MQTT_CERTIFICATE and MQTT_KEY go together, found one of them" >&2
        exit 2
    fi
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$name" \
        -addext "subjectAltName=DNS:$name,DNS:localhost,DNS:mosquitto,IP:127.0.0.1" \
        -addext "keyUsage=critical,digitalSignature,keyCertSign" \
        -keyout "$work/key.pem" -out "$work/certificate.pem" 2> "$work/openssl" || { cat "$work/openssl" >&2; exit 3; }
    add MQTT_CERTIFICATE "$(base64 < "$work/certificate.pem" | tr -d '\n')"
    add MQTT_KEY "$(base64 < "$work/key.pem" | tr -d '\n')"
fi

if [ -e "$file" ] && cmp -s "$work/env" "$file"; then
    echo "$file has every secret, left as it is" >&2
else
    cat "$work/env" > "$file.new"      # made here, with mode 600: a move between file systems is no rename
    mv "$file.new" "$file"
    echo "$file written, only you can read it" >&2
fi
