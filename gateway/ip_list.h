#ifndef GATEWAY_IP_LIST_H
#define GATEWAY_IP_LIST_H

#include "common/str.h"

/* True when `address` (IPv4 or IPv6 as text) is in the list: addresses and CIDR ranges, separated by commas or blanks.
   An entry that is neither matches nothing; an IPv4 address in IPv6 form counts as IPv4. */
bool ip_list_contains(struct str list, struct str address);
/*
 * Whose request it is that came from `peer`: of a proxy in the list, its last hop in `forwarded` (the values of
 * X-Forwarded-For, in order), and so on while that is such a proxy, too. What stands before it is the client's to
 * choose. Absent when the hop is no address. Views into the arguments.
 */
struct str ip_list_client(struct str proxies, struct str peer, struct str forwarded);
/* False when an entry is neither an address nor a range. */
bool ip_list_is_valid(struct str list);

#endif
