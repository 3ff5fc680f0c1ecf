#ifndef GATEWAY_PROPERTY_PATH_H
#define GATEWAY_PROPERTY_PATH_H

#include "common/str.h"

struct json;

/*
 * True when a dotted path names a string or a number of a customer: "externalId", "base.contacts.email",
 * "extended.size". Only such properties can be mandatory or unique. extended: the declared customer properties, NULL =
 * none.
 */
bool property_path_is_scalar(struct str path, const struct json *extended);

#endif
