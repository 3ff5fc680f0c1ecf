#ifndef GATEWAY_PIPELINE_H
#define GATEWAY_PIPELINE_H

#include "common/str.h"
#include "gateway/admission.h"

/* Pure parts of the checks that every request passes (pipeline.c has them in order; its functions are in
 * request_state.h). */

/* Content types that a JSON body may have: application/json, application/<x>+json, text/json, with any parameters; none
   at all passes, too, because some clients send none. */
bool pipeline_is_json_type(struct str content_type);

/* 1 to 255 printable ASCII characters. */
bool pipeline_is_idempotency_key(struct str key);

/* The method that counts: on POST the one of X-HTTP-Method-Override, in upper case into buffer, when there is one. */
#define PIPELINE_METHOD_BYTES 16
struct str pipeline_method(struct str method, struct str override, char buffer[PIPELINE_METHOD_BYTES]);

/* What requests of a route wait for. */
enum admission_lane pipeline_lane(struct str method, unsigned route_flags);

#endif
