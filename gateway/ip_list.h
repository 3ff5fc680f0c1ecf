#ifndef GATEWAY_IP_LIST_H
#define GATEWAY_IP_LIST_H

#include "common/str.h"

/* True when `address` (IPv4 or IPv6 as text) is in the list: addresses and CIDR ranges, separated by commas or blanks.
   An entry that is neither matches nothing; an IPv4 address in IPv6 form counts as IPv4. */
bool ip_list_contains(struct str list, struct str address);
/* False when an entry is neither an address nor a range. */
bool ip_list_is_valid(struct str list);

#endif
