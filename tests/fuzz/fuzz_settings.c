#include "tests/fuzz/fuzz.h"

#include "common/settings.h"

#include <stdio.h>
#include <string.h>

#define TEXT_BYTES 512
#define VARIABLE_BYTES (TEXT_BYTES + 64)

static const char *const names[] = {"CONTACTHUB_BATCH_RECORDS", "CONTACTHUB_LOG_RETENTION_MS", "CONTACTHUB_LISTEN_PORT",
        "CONTACTHUB_HASH_PASSWORDS", "CONTACTHUB_PG_CONNECTIONS", "CONTACTHUB_INSTANCE"};

/* A variable of the environment in memory of our own: setenv keeps every value that it was ever given. */
static void set(size_t i, const char *value)
{
	static char variables[ARRAY_LEN(names)][VARIABLE_BYTES];

	snprintf(variables[i], sizeof(variables[i]), "%s=%s", names[i], value);
	FUZZ_CHECK(!putenv(variables[i]));
}

/* What is wrong is told on stderr, thousands of times a second; the fuzzer's own words go there, too, and stay. */
static bool load_in_silence(struct settings *settings)
{
	static FILE *nowhere;
	FILE *told = stderr;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	FUZZ_CHECK(nowhere);
	stderr = nowhere;
	bool good = settings_load(settings);
	stderr = told;
	return good;
}

/* Lines, one for each of the variables. What is taken is in its range. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char text[TEXT_BYTES];
	struct settings settings;

	if (n >= sizeof(text))
		n = sizeof(text) - 1;
	memcpy(text, bytes, n);
	text[n] = '\0';
	char *rest = text;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *line = strsep(&rest, "\n");
		set(i, line ? line : "");
	}
	if (!load_in_silence(&settings))
		return 0;
	FUZZ_CHECK(settings.batch_records >= 1 && settings.batch_records <= 2000);
	FUZZ_CHECK(settings.log_retention_ms >= -1);
	FUZZ_CHECK(settings.listen_port >= 1 && settings.listen_port <= 65535);
	FUZZ_CHECK(settings.pg_connections >= 1 && settings.pg_connections <= 64);
	FUZZ_CHECK(settings.instance && *settings.instance && strlen(settings.instance) <= 128);
	return 0;
}
