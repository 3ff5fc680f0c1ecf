#ifndef GATEWAY_CUSTOMER_ACCESS_H
#define GATEWAY_CUSTOMER_ACCESS_H

#include "common/customer.h"
#include "gateway/request.h"

/*
 * What the operations on one customer share: they find the customer's node, which decides who may do it and by which
 * rules, and send a command in the partition of the workspace.
 */

/* 400 body of a customer that does not fit. */
#define CUSTOMER_NOT_VALID "source customer is not valid"

/* Answers 404 for the customer of the path. */
void customer_not_found(struct request *request);

/*
 * Reads the node of the customer that the path names, checks the caller's permission on it, and goes on with `then`.
 * Answers 404 and 403 itself, and 409 to a write on an aggregate node, whose customers follow from those of its entry
 * nodes. A request with an Idempotency-Key goes on without a node (NULL) when there is no such
 * customer: it may repeat a command that was answered while there was one, which only the worker knows; nothing is to
 * be checked then.
 */
typedef void customer_then_fn(struct request *request, const struct uuid *customer, const struct config_node *node);
void customer_find_node(struct request *request, bool need_write, customer_then_fn *then);

/*
 * Reads the whole customer that the path names, checks the caller's permission to read its node, and goes on with
 * `then`. Answers 404 and 403 itself.
 */
typedef void customer_read_fn(struct request *request, const struct customer *customer);
void customer_find(struct request *request, customer_read_fn *then);

/* Answers with the whole customer. */
void customer_answer(struct request *request, unsigned status, const struct customer *customer);

/* Answers with a page: rows are the total and CUSTOMER_ROW_COLUMNS, null where the page is empty; NULL fields = all. */
void customer_answer_page(
        struct request *request, const PGresult *rows, const struct page *page, const struct customer_fields *fields);

/* Adds what the workspace's customer schema finds wrong. */
bool customer_validate(struct request *request, const struct json *body, struct problems *problems);

/* A command on a customer of a node (NULL: see customer_find_node). */
void customer_command(struct request *request, struct command *command, enum command_type type,
        const struct uuid *customer, const struct config_node *node);
/* Sends it; the worker's reply is the answer. */
void customer_send(struct request *request, const struct command *command);
/* The same with a look at the reply before it becomes the answer (customer_answer_reply). */
void customer_send_then(struct request *request, const struct command *command, request_reply_fn *on_reply);
void customer_answer_reply(struct request *request, const struct reply *reply);

#endif
