#ifndef GATEWAY_TENANTS_H
#define GATEWAY_TENANTS_H

#include "gateway/admission.h"
#include "gateway/throttle.h"

/* What this gateway counts for each workspace. Only ids of known workspaces get here, so their number is bounded. */
struct tenant {
	struct uuid workspace;
	struct token_bucket bucket;
	struct admission_share shares[ADMISSION_LANES];
};

struct tenants;

struct tenants *tenants_new(void);
void tenants_free(struct tenants *tenants);
/* Lives as long as the table. Requests without a workspace share the one of the nil id. */
struct tenant *tenants_get(struct tenants *tenants, const struct uuid *workspace);

#endif
