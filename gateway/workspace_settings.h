#ifndef GATEWAY_WORKSPACE_SETTINGS_H
#define GATEWAY_WORKSPACE_SETTINGS_H

#include "common/json.h"
#include "common/problems.h"

/*
 * What a workspace says of itself (operations 18 and 19: name, industry, logo, time zone, currency): members of its
 * document, beside those that provisioning made. One that the document lacks has its default. The time zone says when
 * the days of statistics begin, the currency what their amounts are in (API document). Without I/O.
 */

/* Adds every setting to `view`, by value or default. */
void workspace_settings_add(struct arena *arena, struct json *view, const struct json *doc);

/*
 * A copy of the document with what the body sets: a member that is absent stays, null is the default. NULL with a
 * problem for each fault; members that are no settings are passed over, so that what GET answers may be put back.
 */
struct json *workspace_settings_change(
        struct arena *arena, const struct json *doc, const struct json *body, struct problems *problems);

#endif
