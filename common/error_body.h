#ifndef COMMON_ERROR_BODY_H
#define COMMON_ERROR_BODY_H

#include "common/problems.h"
#include "common/uuid.h"

struct buf;

/*
 * The API's error body: {"message", "logref", "data", "errors": [{message, path, code, data}]}, all four keys always
 * there, because client libraries index them without looking. data_json absent = null; problems NULL = [].
 */
void error_body_write(struct buf *buf, struct str message, const struct uuid *logref, struct str data_json,
        const struct problems *problems);

#endif
