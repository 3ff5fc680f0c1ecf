#ifndef COMMON_CONSENT_TIMES_H
#define COMMON_CONSENT_TIMES_H

#include "common/customer.h"

/*
 * When each leaf of a customer's consents got its value: an object of microseconds by dotted path below `consents`, as
 * "marketing.automatic.email.status". Of two customers that say different things the later word counts, whatever else
 * of them was changed since. Pure.
 */

/* The times that go with a document: those of leaves that are as they were stay, others are now_us. before NULL: the
   customer is new. NULL when the document holds no consents. */
struct json *consent_times_next(
        struct arena *arena, const struct customer *before, const struct json *doc, int64_t now_us);

/* A leaf without a time was given before times were kept: by the customer's last change at the latest. */
int64_t consent_time(const struct customer *customer, struct str path);

/* Path of a member of the object at `parent`; absent = of the consents themselves. */
struct str consent_path(struct arena *arena, struct str parent, struct str name);

#endif
