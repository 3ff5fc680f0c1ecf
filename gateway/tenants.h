#ifndef GATEWAY_TENANTS_H
#define GATEWAY_TENANTS_H

#include "gateway/admission.h"
#include "gateway/throttle.h"

/* What this gateway counts for each workspace. Only ids of known workspaces get here, so their number is bounded. */
struct tenant {
	struct uuid workspace;
	struct token_bucket bucket;
	struct admission_share shares[ADMISSION_LANES];
	size_t uploads;                  /* that come in */
	size_t body_bytes, answer_bytes; /* of what http.c counts */
	size_t config_bytes;             /* by which writes on their way make its configuration grow */
};

/* Room for n more of something of which there are `most` and `taken` are in use, when the workspace has `own` of them?
   It may have as many as are still free: alone half of them, and another one finds room. */
bool tenant_fits(size_t most, size_t taken, size_t own, size_t n);

struct tenants;

struct tenants *tenants_new(void);
void tenants_free(struct tenants *tenants);
/* Lives as long as the table. Requests without a workspace share the one of the nil id. */
struct tenant *tenants_get(struct tenants *tenants, const struct uuid *workspace);

#endif
