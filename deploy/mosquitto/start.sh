#!/bin/sh
# Writes accounts, access rules and certificate from the environment into memory, then becomes mosquitto.
#
#   MQTT_HUB_PASSWORD      account `hub`: reads everything under stadspuls/, and publishes there (replay, gateways)
#   MQTT_SENSORS_PASSWORD  account `sensors`: publishes under stadspuls/, reads nothing, and speaks neither for the hub
#                          nor for the sources that only gateways and the hub's operator send
#   MQTT_ACCOUNTS          more accounts, "ttn:password telraam:password": each publishes under stadspuls/<its name>/
#   MQTT_CERTIFICATE       PEM in base64: the certificate, then its intermediates; MQTT_KEY likewise
set -eu
umask 077
here=$(dirname "$0")
run=${MQTT_RUN:-/run/stadspuls} data=${MQTT_DATA:-/mosquitto/data}
: "${MQTT_HUB_PASSWORD:?}" "${MQTT_SENSORS_PASSWORD:?}" "${MQTT_CERTIFICATE:?}" "${MQTT_KEY:?}"

{
    echo "hub:$MQTT_HUB_PASSWORD"
    echo "sensors:$MQTT_SENSORS_PASSWORD"
    for account in ${MQTT_ACCOUNTS:-}; do
        case $account in
            hub:* | sensors:* | *[/+#]*:* | :* | *:) echo "MQTT_ACCOUNTS: ${account%%:*} cannot be added" >&2; exit 2 ;;
            *:*) echo "$account" ;;
            *) echo "MQTT_ACCOUNTS: expected name:password, found no colon" >&2; exit 2 ;;
        esac
    done
} > "$run/passwords"
mosquitto_passwd -U "$run/passwords"   # hashes them in place; on a command line they could be seen

# What mosquitto_sub reads with XDG_CONFIG_HOME=$run, here and in the health check.
printf '%s\n' '-u hub' "-P $MQTT_HUB_PASSWORD" > "$run/mosquitto_sub"

cat > "$run/acl" <<'ACL'
user hub
topic readwrite stadspuls/#
topic read $SYS/#

user sensors
topic write stadspuls/#
topic deny stadspuls/hub/#
topic deny stadspuls/ndw/#
topic deny stadspuls/dexter/#
topic deny stadspuls/luchtmeetnet/#
topic deny stadspuls/samenmeten/#

pattern write stadspuls/%u/#
ACL
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

unset MQTT_HUB_PASSWORD MQTT_SENSORS_PASSWORD MQTT_ACCOUNTS MQTT_KEY
exec mosquitto -c "$run/mosquitto.conf"
