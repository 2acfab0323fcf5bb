#!/bin/sh
# Formats the data directory the first time, then becomes Kafka. KAFKA_CLUSTER_ID comes from the environment.
set -eu
: "${KAFKA_CLUSTER_ID:?}"
here=$(dirname "$0") kafka=${KAFKA_HOME:-/opt/kafka}
config=${KAFKA_CONFIG:-$here/server.properties}
export LOG_DIR=/tmp EXTRA_ARGS="-name kafkaServer"   # no log of the garbage collection beside the data
export KAFKA_LOG4J_OPTS="-Dlog4j2.configurationFile=$here/log4j2.yaml"

"$kafka/bin/kafka-storage.sh" format --ignore-formatted --cluster-id "$KAFKA_CLUSTER_ID" --config "$config"
exec "$kafka/bin/kafka-server-start.sh" "$config"
