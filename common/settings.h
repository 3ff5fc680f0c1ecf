#ifndef COMMON_SETTINGS_H
#define COMMON_SETTINGS_H

#include "common/err.h"

#include <stdio.h>

/*
 * Settings come from environment variables. The rows below parse, validate and print themselves (CONFIGURATION.md is
 * `contacthubctl settings`). Types: STRING, NAME (a STRING of up to max bytes of those that Kafka's names have:
 * letters, digits, '.', '_' and '-'), INT (range checked), BOOL (true/false/1/0), SECRET (a STRING that is never
 * printed).
 *
 * Row: type, field, environment variable, default ("" = none), min, max, help.
 */
#define SETTINGS(X)                                                                                                    \
	X(SECRET, pg, "CONTACTHUB_PG", "", 0, 0, "libpq connection URI of the database; required")                     \
	X(STRING, pg_schema, "CONTACTHUB_PG_SCHEMA", "contacthub", 0, 0, "schema that holds the tables")               \
	X(STRING, kafka, "CONTACTHUB_KAFKA", "", 0, 0,                                                                 \
	        "Kafka bootstrap servers, host:port, comma separated; required")                                       \
	X(STRING, kafka_security, "CONTACTHUB_KAFKA_SECURITY", "plaintext", 0, 0,                                      \
	        "how Kafka is spoken to: plaintext, ssl, sasl_plaintext or sasl_ssl")                                  \
	X(STRING, kafka_sasl_mechanism, "CONTACTHUB_KAFKA_SASL_MECHANISM", "PLAIN", 0, 0,                              \
	        "for sasl_plaintext and sasl_ssl: PLAIN; SCRAM-SHA-256 or SCRAM-SHA-512 with brokers before Kafka "    \
	        "3.8.1 or librdkafka from 2.6.1 on")                                                                   \
	X(STRING, kafka_user, "CONTACTHUB_KAFKA_USER", "", 0, 0, "name for SASL")                                      \
	X(SECRET, kafka_password, "CONTACTHUB_KAFKA_PASSWORD", "", 0, 0, "password for SASL")                          \
	X(STRING, kafka_ca_file, "CONTACTHUB_KAFKA_CA_FILE", "", 0, 0,                                                 \
	        "PEM file with the authorities that may have signed the brokers' certificates; default the system's")  \
	X(STRING, kafka_certificate_file, "CONTACTHUB_KAFKA_CERTIFICATE_FILE", "", 0, 0,                               \
	        "PEM file with our own certificate, where brokers ask for one")                                        \
	X(STRING, kafka_key_file, "CONTACTHUB_KAFKA_KEY_FILE", "", 0, 0, "PEM file with its private key")              \
	X(NAME, topic_prefix, "CONTACTHUB_TOPIC_PREFIX", "contacthub.", 0, 128, "put in front of every topic name")    \
	X(INT, customer_partitions, "CONTACTHUB_CUSTOMER_PARTITIONS", "8", 1, 1024,                                    \
	        "partitions of customer-commands and config-commands when they are created; a workspace lives in one") \
	X(INT, event_partitions, "CONTACTHUB_EVENT_PARTITIONS", "8", 1, 1024,                                          \
	        "partitions of event-commands when it is created")                                                     \
	X(INT, reply_partitions, "CONTACTHUB_REPLY_PARTITIONS", "16", 1, 1024, "partitions of replies when created")   \
	X(INT, replication_factor, "CONTACTHUB_REPLICATION_FACTOR", "1", 1, 9, "of topics when they are created")      \
	X(INT, log_retention_ms, "CONTACTHUB_LOG_RETENTION_MS", "-1", -1, INT64_MAX,                                   \
	        "retention of the command topics in ms when they are created; -1 keeps them for ever, which replay "   \
	        "needs")                                                                                               \
	X(NAME, instance, "CONTACTHUB_INSTANCE", "0", 0, 128,                                                          \
	        "name of this instance among the same processes: a worker that starts again under its name has its "   \
	        "partitions at once, under another one when the old name's session has ended (30 s)")                  \
	X(INT, log_level, "CONTACTHUB_LOG_LEVEL", "1", 0, 3, "0 debug, 1 info, 2 warnings, 3 errors")                  \
	X(STRING, listen_host, "CONTACTHUB_LISTEN_HOST", "0.0.0.0", 0, 0, "IPv4 address that the gateway listens on")  \
	X(INT, listen_port, "CONTACTHUB_LISTEN_PORT", "8080", 1, 65535, "port of the gateway")                         \
	X(STRING, public_url, "CONTACTHUB_PUBLIC_URL", "", 0, 0,                                                       \
	        "scheme, host and port under which clients reach the gateway; used in links; default from the Host "   \
	        "header")                                                                                              \
	X(STRING, trusted_proxies, "CONTACTHUB_TRUSTED_PROXIES", "", 0, 0,                                             \
	        "addresses and ranges of the proxies in front of the gateway: of their requests, the client's "        \
	        "address is the last one in X-Forwarded-For that is none of theirs")                                   \
	X(STRING, jwt_algorithm, "CONTACTHUB_JWT_ALGORITHM", "HS256", 0, 0,                                            \
	        "HS256, RS256 or ES256; pinned, never taken from a token")                                             \
	X(STRING, jwt_key_file, "CONTACTHUB_JWT_KEY_FILE", "", 0, 0,                                                   \
	        "file with the secret (HS256; 32 bytes or more) or the public key (RS256, ES256; PEM) that user "      \
	        "tokens are checked with; required by the "                                                            \
	        "gateway")                                                                                             \
	X(BOOL, hash_passwords, "CONTACTHUB_HASH_PASSWORDS", "false", 0, 0,                                            \
	        "store base.credential.password as an Argon2id hash and return null for it; each hash (19 MiB, 2 "     \
	        "passes, some 10 ms) is made in the gateway's one loop, which serves nothing else meanwhile")          \
	X(INT, request_deadline_ms, "CONTACTHUB_REQUEST_DEADLINE_MS", "15000", 100, 120000,                            \
	        "a request without an outcome by then is answered with 504, with 503 when nothing of it had been "     \
	        "done, or with 408 when its body has not arrived")                                                     \
	X(INT, upload_deadline_ms, "CONTACTHUB_UPLOAD_DEADLINE_MS", "3600000", 1000, 86400000,                         \
	        "the file of a bulk job must arrive within; CONTACTHUB_REQUEST_DEADLINE_MS is the longest silence")    \
	X(INT, upload_mib_per_s, "CONTACTHUB_UPLOAD_MIB_PER_S", "32", 1, 65536,                                        \
	        "files of bulk jobs are taken no faster by a gateway, so that other requests do not wait for them")    \
	X(INT, max_in_flight, "CONTACTHUB_MAX_IN_FLIGHT", "4096", 1, 65536,                                            \
	        "requests in work and waiting; above it 503")                                                          \
	X(INT, calm_in_flight, "CONTACTHUB_CALM_IN_FLIGHT", "512", 1, 65536,                                           \
	        "requests of a kind (reads, searches, events, other writes) that a workspace may have at once in any " \
	        "case: as many are in work as do not double the time that they take, the others wait for a place. "    \
	        "Beyond that 503 when there is no place in work")                                                      \
	X(INT, max_connections, "CONTACTHUB_MAX_CONNECTIONS", "16384", 16, 1000000, "open client connections")         \
	X(INT, pg_connections, "CONTACTHUB_PG_CONNECTIONS", "4", 1, 64, "pipelined read connections of a gateway")     \
	X(INT, batch_records, "CONTACTHUB_BATCH_RECORDS", "200", 1, 2000, "most records in one worker transaction")    \
	X(INT, batch_wait_us, "CONTACTHUB_BATCH_WAIT_US", "1000", 0, 100000,                                           \
	        "how long a worker waits for more records once it has one, while more than four come at a time")       \
	X(INT, idempotency_retention_days, "CONTACTHUB_IDEMPOTENCY_RETENTION_DAYS", "0", 0, 36500,                     \
	        "how long the Idempotency-Keys of requests from now on are remembered; 0 = for ever")                  \
	X(INT, bulk_window, "CONTACTHUB_BULK_WINDOW", "500", 1, 10000,                                                 \
	        "rows of bulk jobs that are on their way at a time while nobody else writes into their partitions")    \
	X(INT, bulk_shared_window, "CONTACTHUB_BULK_SHARED_WINDOW", "32", 1, 10000,                                    \
	        "the same while others do: their writes wait behind these rows; not above the other")                  \
	X(INT, empty_rows, "CONTACTHUB_EMPTY_ROWS", "10000", 1, 100000,                                                \
	        "as many customers and events of a node that is emptied go before the answer, the others behind it, "  \
	        "a tenth of that at a time")                                                                           \
	X(BOOL, replay, "CONTACTHUB_REPLAY", "false", 0, 0,                                                            \
	        "a worker rebuilds tables from the log: it publishes nothing, writes no update stream, and ends at "   \
	        "CONTACTHUB_REPLAY_UNTIL; set by `contacthubctl replay` alone")                                        \
	X(STRING, replay_until, "CONTACTHUB_REPLAY_UNTIL", "", 0, 0,                                                   \
	        "PARTITION:OFFSET,...: the first records that such a worker does not read any more")

struct settings {
#define SETTING_STRING const char *
#define SETTING_NAME const char *
#define SETTING_SECRET const char *
#define SETTING_INT int64_t
#define SETTING_BOOL bool
#define X(type, field, variable, fallback, min, max, help) SETTING_##type field;
	SETTINGS(X)
#undef X
};

/* Reads the environment. Reports every bad setting on standard error before it returns false. Strings are owned by the
   environment. */
bool settings_load(struct settings *ret_settings) must_check;

/* Says which of the named variables are missing ("CONTACTHUB_PG is not set") and ends the process with status 1. */
void settings_require(const struct settings *settings, bool pg, bool kafka);

/* CONFIGURATION.md from the rows. */
void settings_print_markdown(FILE *out);

#endif
