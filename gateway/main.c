#include "common/log.h"
#include "gateway/gateway.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	static struct settings settings;

	if (argc > 1) {
		fprintf(stderr, "usage: %s\nSettings are environment variables; see CONFIGURATION.md.\n", argv[0]);
		return 2;
	}
	log_init("gateway", LOG_INFO);
	if (!settings_load(&settings))
		return 1;
	log_init("gateway", (enum log_level)settings.log_level);
	settings_require(&settings, true, true);
	return gateway_run(&settings);
}
