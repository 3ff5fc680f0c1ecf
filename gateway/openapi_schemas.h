#ifndef GATEWAY_OPENAPI_SCHEMAS_H
#define GATEWAY_OPENAPI_SCHEMAS_H

#include <stddef.h>

/* openapi_schemas.json, put into the binary by the build: schemas by name of what the catalog does not have, that is
   what the configuration calls take and answer, lists, errors. Those of customers and events come from the catalog. */
extern const unsigned char openapi_schemas[];
extern const size_t openapi_schemas_bytes;

#endif
