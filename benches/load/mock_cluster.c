/* librdkafka's mock cluster in a process of its own: prints its bootstrap servers, lives until its input ends.
 *
 *   mock_cluster BROKERS TOPIC PARTITIONS
 */
#include <stdio.h>
#include <stdlib.h>

#include "rdkafka.h"
#include "rdkafka_mock.h"

int main(int argc, char **argv) {
        char errstr[512];
        if (argc != 4) {
                fprintf(stderr, "usage: mock_cluster BROKERS TOPIC PARTITIONS\n");
                return 2;
        }
        rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), errstr, sizeof(errstr));
        if (!client) {
                fprintf(stderr, "%s\n", errstr);
                return 1;
        }
        rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(client, atoi(argv[1]));
        if (!cluster || rd_kafka_mock_topic_create(cluster, argv[2], atoi(argv[3]), 1)) {
                fprintf(stderr, "the mock cluster or its topic cannot be made\n");
                return 1;
        }
        printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
        fflush(stdout);
        while (getchar() != EOF) {
        }
        rd_kafka_mock_cluster_destroy(cluster);
        rd_kafka_destroy(client);
        return 0;
}
