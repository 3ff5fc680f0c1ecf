#ifndef COMMON_PASSWORD_H
#define COMMON_PASSWORD_H

#include <stdbool.h>

struct arena;
struct json;

/* base.credential.password in the body of a customer's write, for deployments that do not store passwords. */

bool password_is_given(const struct json *customer);

/* Puts an Argon2id hash in the place of the password. A GET answers null for it, so null means "as it was" and is
   taken out. Costs some 30 ms and 19 MiB. False when there is no memory for it. */
bool password_hash(struct arena *arena, struct json *customer) __attribute__((warn_unused_result));

#endif
