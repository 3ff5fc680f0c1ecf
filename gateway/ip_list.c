#include "gateway/ip_list.h"

#include <arpa/inet.h>

#define V4_PREFIX_BITS 96

/* Both families as 128 bits: IPv4 as ::ffff:a.b.c.d. */
struct range {
	uint8_t bytes[16];
	unsigned bits;
};

static bool parse_address(struct str text, struct range *ret_range)
{
	static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	char name[INET6_ADDRSTRLEN + 1];

	if (text.n == 0 || text.n >= sizeof(name))
		return false;
	memcpy(name, text.p, text.n);
	name[text.n] = '\0';
	if (inet_pton(AF_INET, name, ret_range->bytes + sizeof(v4_prefix)) == 1) {
		memcpy(ret_range->bytes, v4_prefix, sizeof(v4_prefix));
		ret_range->bits = V4_PREFIX_BITS;
		return true;
	}
	ret_range->bits = 0;
	return inet_pton(AF_INET6, name, ret_range->bytes) == 1;
}

static bool parse_range(struct str text, struct range *ret_range)
{
	struct str bits = text, address;
	uint64_t n = 0;

	str_split(&bits, '/', &address);
	if (!parse_address(address, ret_range))
		return false;
	unsigned family_bits = 128 - ret_range->bits;
	if (!bits.p)
		n = family_bits;
	else if (!str_to_u64(bits, family_bits, &n))
		return false;
	ret_range->bits += (unsigned)n;
	return true;
}

static bool covers(const struct range *range, const struct range *address)
{
	unsigned whole = range->bits / 8, rest = range->bits % 8;

	if (memcmp(range->bytes, address->bytes, whole) != 0)
		return false;
	return rest == 0 || ((range->bytes[whole] ^ address->bytes[whole]) >> (8 - rest)) == 0;
}

/* Cuts the next entry off the list; false at its end. */
static bool next_entry(struct str *list, struct str *ret_entry)
{
	static const char separators[] = ", \t\r\n;";
	size_t skip = 0, n = 0;

	while (skip < list->n && memchr(separators, list->p[skip], sizeof(separators) - 1))
		skip++;
	while (skip + n < list->n && !memchr(separators, list->p[skip + n], sizeof(separators) - 1))
		n++;
	*ret_entry = (struct str){list->p + skip, n};
	*list = (struct str){list->p + skip + n, list->n - skip - n};
	return n > 0;
}

bool ip_list_contains(struct str list, struct str address)
{
	struct range range, own;
	struct str entry;

	if (!parse_address(address, &own))
		return false;
	while (list.p && next_entry(&list, &entry)) {
		if (parse_range(entry, &range) && covers(&range, &own))
			return true;
	}
	return false;
}

/* Cuts the last hop off; false when there is none. */
static bool last_hop(struct str *forwarded, struct str *ret_hop)
{
	size_t at = forwarded->n;

	if (!at)
		return false;
	while (at && forwarded->p[at - 1] != ',')
		at--;
	*ret_hop = str_trim((struct str){forwarded->p + at, forwarded->n - at});
	forwarded->n = at ? at - 1 : 0;
	return true;
}

/* Some proxies add it: 192.0.2.1:443, [2001:db8::1]:443. */
static struct str without_port(struct str hop)
{
	struct str rest = hop, address;

	if (hop.n && hop.p[0] == '[') {
		rest = (struct str){hop.p + 1, hop.n - 1};
		str_split(&rest, ']', &address);
		return address;
	}
	str_split(&rest, ':', &address);
	return rest.p && !memchr(rest.p, ':', rest.n) ? address : hop;
}

struct str ip_list_client(struct str proxies, struct str peer, struct str forwarded)
{
	struct str client = peer, hop;
	struct range ignored;

	while (ip_list_contains(proxies, client) && last_hop(&forwarded, &hop))
		client = without_port(hop);
	return parse_address(client, &ignored) ? client : STR_NONE;
}

bool ip_list_is_valid(struct str list)
{
	struct range range;
	struct str entry;

	while (list.p && next_entry(&list, &entry)) {
		if (!parse_range(entry, &range))
			return false;
	}
	return true;
}
