#include "tests/fuzz/fuzz.h"

#include "common/settings.h"

#include <string.h>

/* Text of a variable that the environment can hold at all. */
static void set(const char *name, char *value)
{
	FUZZ_CHECK(!setenv(name, value, 1));
}

static const char *const names[] = {"CONTACTHUB_BATCH_RECORDS", "CONTACTHUB_LOG_RETENTION_MS", "CONTACTHUB_LISTEN_PORT",
        "CONTACTHUB_HASH_PASSWORDS", "CONTACTHUB_PG_CONNECTIONS", "CONTACTHUB_INSTANCE"};

/* Lines, one for each of the variables. What is taken is in its range. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
	char text[512];
	struct settings settings;
	static FILE *quiet;

	if (!quiet)
		quiet = freopen("/dev/null", "w", stderr);
	if (n >= sizeof(text))
		n = sizeof(text) - 1;
	memcpy(text, bytes, n);
	text[n] = '\0';
	char *rest = text;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		char *line = strsep(&rest, "\n");
		set(names[i], line ? line : (char[]){""});
	}
	if (!settings_load(&settings))
		return 0;
	FUZZ_CHECK(settings.batch_records >= 1 && settings.batch_records <= 2000);
	FUZZ_CHECK(settings.log_retention_ms >= -1);
	FUZZ_CHECK(settings.listen_port >= 1 && settings.listen_port <= 65535);
	FUZZ_CHECK(settings.pg_connections >= 1 && settings.pg_connections <= 64);
	FUZZ_CHECK(settings.instance);
	return 0;
}
