#ifndef GATEWAY_EXTENDED_WRITE_H
#define GATEWAY_EXTENDED_WRITE_H

#include "common/str.h"

struct request;

/* Operations on one set of declared properties: "customer", "event:<type>" or "product". Both answer the request. */
void extended_answer(struct request *request, struct str set);
void extended_write(struct request *request, struct str set);

#endif
