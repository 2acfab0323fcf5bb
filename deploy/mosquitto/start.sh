#!/bin/sh
# Writes accounts, access rules and certificate from the environment into memory, then becomes mosquitto.
#
#   MQTT_HUB_PASSWORD      account `hub`: reads everything under stadspuls/, and publishes there (replay, gateways); it
#                          alone publishes under v1.1/ (updates of SensorThings)
#   MQTT_SENSORS_PASSWORD  account `sensors`: publishes under stadspuls/, reads nothing, and speaks neither for the hub
#                          nor for the sources that only gateways and the hub's operator send
#   MQTT_ACCOUNTS          more accounts, "ttn:password telraam:password": each publishes under stadspuls/<its name>/
#   MQTT_READERS           accounts that get updates of SensorThings, "gis:password": each reads under v1.1/
#   MQTT_CERTIFICATE       PEM in base64: the certificate, then its intermediates; MQTT_KEY likewise
set -eu
umask 077
here=$(dirname "$0")
run=${MQTT_RUN:-/run/stadspuls} data=${MQTT_DATA:-/mosquitto/data}
: "${MQTT_HUB_PASSWORD:?}" "${MQTT_SENSORS_PASSWORD:?}" "${MQTT_CERTIFICATE:?}" "${MQTT_KEY:?}"

listed() {   # the accounts that a variable names
    for account in $2; do
        case $account in
            hub:* | sensors:* | *[/+#]*:* | :* | *:) echo "$1: ${account%%:*} cannot be added" >&2; exit 2 ;;
            *:*) echo "$account" ;;
            *) echo "$1: expected name:password, found no colon" >&2; exit 2 ;;
        esac
    done
}
{
    echo "hub:$MQTT_HUB_PASSWORD"
    echo "sensors:$MQTT_SENSORS_PASSWORD"
    listed MQTT_ACCOUNTS "${MQTT_ACCOUNTS:-}"
    listed MQTT_READERS "${MQTT_READERS:-}"
} > "$run/passwords"
twice=$(cut -d: -f1 "$run/passwords" | sort | uniq -d)   # a reader may not publish: its messages would be dropped
[ -z "$twice" ] || { echo "MQTT_ACCOUNTS, MQTT_READERS: $twice, expected each name once" >&2; exit 2; }
mosquitto_passwd -U "$run/passwords"   # hashes them in place; on a command line they could be seen

# What mosquitto_sub reads with XDG_CONFIG_HOME=$run, here and in the health check.
printf '%s\n' '-u hub' "-P $MQTT_HUB_PASSWORD" > "$run/mosquitto_sub"

cat > "$run/acl" <<'ACL'
user hub
topic readwrite stadspuls/#
topic readwrite v1.1/#
topic read $SYS/#

user sensors
topic write stadspuls/#
topic deny stadspuls/hub/#
topic deny stadspuls/ndw/#
topic deny stadspuls/dexter/#
topic deny stadspuls/luchtmeetnet/#
topic deny stadspuls/samenmeten/#
ACL
for account in ${MQTT_READERS:-}; do
    printf '\nuser %s\ntopic read v1.1/#\ntopic deny stadspuls/#\n' "${account%%:*}" >> "$run/acl"
done
printf '\npattern write stadspuls/%%u/#\n' >> "$run/acl"
echo "$MQTT_CERTIFICATE" | base64 -d > "$run/certificate.pem"
echo "$MQTT_KEY" | base64 -d > "$run/key.pem"
sed -e "s|@RUN@|$run|" -e "s|@DATA@|$data|" -e "s|@PORT@|${MQTT_PORT:-1883}|" -e "s|@TLS_PORT@|${MQTT_TLS_PORT:-8883}|" \
    "$here/mosquitto.conf" > "$run/mosquitto.conf"

# Mosquitto forgets shared subscriptions when it ends, and confirms and drops messages without a subscriber. So until a
# collector has subscribed only `hub` gets in: a publisher that is refused keeps its messages, and tries again.
cp "$run/passwords" "$run/everyone"
grep '^hub:' "$run/everyone" > "$run/passwords"
admit() {
    until [ "$(XDG_CONFIG_HOME=$run mosquitto_sub -p "${MQTT_PORT:-1883}" -C 1 -W 5 \
        -t '$SYS/broker/shared_subscriptions/count' 2> /dev/null || echo 0)" -gt 0 ]; do
        sleep 0.3
        kill -0 "$1" || exit
    done
    cp "$run/everyone" "$run/passwords"
    kill -HUP "$1"
}
admit $$ &

unset MQTT_HUB_PASSWORD MQTT_SENSORS_PASSWORD MQTT_ACCOUNTS MQTT_READERS MQTT_KEY
exec mosquitto -c "$run/mosquitto.conf"
