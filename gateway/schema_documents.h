#ifndef GATEWAY_SCHEMA_DOCUMENTS_H
#define GATEWAY_SCHEMA_DOCUMENTS_H

struct arena;
struct json;
struct str;

/*
 * The public JSON schema documents by the paths under which client libraries fetch them, made from the catalog with
 * everything that they refer to in its place:
 *
 *   customer.json  common.json  enums.json
 *   base-property/base-properties.json, base-property/<name>.json
 *   consents/consents.json, consents/<name>.json
 *   event/<type>.post.json, event/<type>.json, event/context/<context>.json (WEB, web, contact-center)
 *   event/tracking.json, event/user.json, event/client.json
 *
 * NULL when there is none by that path.
 */
const struct json *schema_document(struct arena *arena, struct str path);

#endif
