#include "common/log.h"
#include "gateway/gateway.h"
#include "gateway/ip_list.h"

#include <stdio.h>
#include <string.h>

/* Links begin with it. Empty: they begin with the Host header's. */
static void check_public_url(const char *url)
{
	const char *host = !strncmp(url, "https://", 8) ? url + 8 : !strncmp(url, "http://", 7) ? url + 7 : NULL;
	const char *end = url;

	while ((unsigned char)*end > ' ' && (unsigned char)*end < 0x7f && !strchr("\"<>\\?#", *end))
		end++;
	if (*url && (*end || !host || !*host || *host == '/'))
		log_die("settings", "CONTACTHUB_PUBLIC_URL must be http:// or https://, a host and perhaps a port");
}

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
	check_public_url(settings.public_url);
	if (!ip_list_is_valid(str_of(settings.trusted_proxies)))
		log_die("settings", "CONTACTHUB_TRUSTED_PROXIES must be addresses and ranges (192.0.2.1, 10.0.0.0/8)");
	return gateway_run(&settings);
}
