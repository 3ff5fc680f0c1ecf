#ifndef GATEWAY_OPENAPI_H
#define GATEWAY_OPENAPI_H

#include "gateway/route.h"

/* The served OpenAPI 3.0 document, made from the routes and the catalog's schemas: what is in the table is in the
   document. Made once; lives as long as the process. */
struct str openapi_build(const struct route *rows, size_t n_rows);

#endif
