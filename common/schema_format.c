#include "common/schema_private.h"

#include "common/clock.h"
#include "common/uuid.h"

#include <arpa/inet.h>

#define HOST_NAME_MAX_BYTES 253
#define HOST_LABEL_MAX_BYTES 63

static bool is_email(struct str text)
{
	return text.n && memchr(text.p, '@', text.n);
}

static bool is_uri(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if ((unsigned char)text.p[i] <= ' ')
			return false;
	}
	return true;
}

static bool is_date_time(struct str text)
{
	int64_t time_us;

	return time_parse(text, &time_us);
}

static bool is_uuid(struct str text)
{
	struct uuid id;

	return uuid_parse(text, &id);
}

static bool is_address(int family, struct str text)
{
	char copy[INET6_ADDRSTRLEN];
	unsigned char address[16];

	if (text.n >= sizeof(copy) || (text.n && memchr(text.p, '\0', text.n)))
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	return inet_pton(family, copy, address) == 1;
}

static bool is_ipv4(struct str text)
{
	return is_address(AF_INET, text);
}

static bool is_ipv6(struct str text)
{
	return is_address(AF_INET6, text);
}

static bool is_ip(struct str text)
{
	return is_ipv4(text) || is_ipv6(text);
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_host_label(struct str label)
{
	if (!label.n || label.n > HOST_LABEL_MAX_BYTES || label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++) {
		if (!is_letter_or_digit(label.p[i]) && label.p[i] != '-')
			return false;
	}
	return true;
}

static bool is_hostname(struct str text)
{
	struct str label;

	if (text.n > HOST_NAME_MAX_BYTES)
		return false;
	while (str_split(&text, '.', &label)) {
		if (!is_host_label(label))
			return false;
	}
	return true;
}

static const struct schema_format formats[] = {
        {.name = "date", .matches = date_is_valid, .what = "a date (yyyy-MM-dd)"},
        {.name = "date-time", .matches = is_date_time, .what = "a date-time (yyyy-MM-ddTHH:mm:ssZ)"},
        {.name = "email", .matches = is_email, .what = "an e-mail address"},
        {.name = "hostname", .matches = is_hostname, .what = "a host name"},
        {.name = "ip", .matches = is_ip, .what = "an IP address"},
        {.name = "ipv4", .matches = is_ipv4, .what = "an IPv4 address"},
        {.name = "ipv6", .matches = is_ipv6, .what = "an IPv6 address"},
        {.name = "uri", .matches = is_uri, .what = "a URI"},
        {.name = "uuid", .matches = is_uuid, .what = "a UUID"},
};

const struct schema_format *schema_format_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		if (str_is(name, formats[i].name))
			return &formats[i];
	}
	return NULL;
}

bool schema_format_matches(struct str format, struct str text)
{
	const struct schema_format *found = schema_format_find(format);

	return !found || found->matches(text);
}
