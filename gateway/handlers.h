#ifndef GATEWAY_HANDLERS_H
#define GATEWAY_HANDLERS_H

#include "common/db.h"
#include "gateway/request.h"

/* Every handler, by the file that holds it. Each does one operation; routes.c says which. */

/* handlers_customer.c */
route_handler_fn customer_create, customer_get, customer_patch, customer_put, customer_delete;

/* customer_access.c. Reads a customer again after its command and answers with it: for results whose row keeps no body.
 */
route_reread_fn customer_answer_by_id;

/* handlers_customer_item.c. One for educations, jobs, likes and subscriptions: the route's variant is the enum
 * item_kind. */
route_handler_fn item_create, item_get, item_put, item_delete;

/* handlers_customer_session.c */
route_handler_fn session_list, session_create, session_get, session_delete;

/* handlers_customer_entries.c */
route_handler_fn customer_entries;

/* handlers_customer_search.c */
route_handler_fn customer_search;

/* handlers_event.c */
route_handler_fn event_create, event_put, event_patch, event_delete;

/* handlers_event_get.c */
route_handler_fn event_get;

/* handlers_event_search.c */
route_handler_fn event_search;

/* handlers_bulk.c */
route_check_fn bulk_job_check;
route_handler_fn bulk_job_list, bulk_job_create, bulk_job_get, bulk_job_results;

/* handlers_node.c */
route_handler_fn node_list, entry_node_list, entry_node_create, entry_node_get, entry_node_put, entry_node_empty;
route_handler_fn default_matching_policy_get, matching_policy_get, matching_policy_put;

/* handlers_aggregate.c */
route_handler_fn aggregate_node_list, aggregate_node_create, aggregate_node_get, aggregate_node_put;
route_handler_fn aggregate_node_state_put;

/* handlers_source.c */
route_handler_fn source_list, source_create, source_get, source_put, source_refresh_token;

/* handlers_property.c */
route_handler_fn base_property_list, base_property_put, base_property_enabled_put;
route_handler_fn customer_extended_get, customer_extended_put, customer_properties_get;

/* handlers_event_type.c */
route_handler_fn event_type_list, event_type_get, event_type_put, event_type_enabled_put;
route_handler_fn event_properties_get, event_extended_get, event_extended_put;

/* handlers_model.c */
route_handler_fn model_merge_policies, model_providers, model_contexts;

/* handlers_workspace.c */
route_handler_fn workspace_list, workspace_create, workspace_get, workspace_status_put;
route_handler_fn workspace_configuration_get, workspace_configuration_put;
route_handler_fn throttling_get, throttling_put, payload_size_get, payload_size_put;

/* handlers_me.c */
route_handler_fn me_get;

/* handlers_stats.c */
route_handler_fn stats_get, customer_stats_get, stats_info, stats_nodes;

/* handlers_updates.c */
route_handler_fn update_list, update_last_offset;

/* handlers_system.c */
route_handler_fn health_get, health_live, health_ready, metrics_get, schema_document_get, openapi_get;

/* Statements that the handlers' queries name; the pool prepares them on each connection. */
extern const struct statement customer_statements[], customer_search_statements[], event_statements[],
        node_statements[], aggregate_statements[], stat_statements[], update_statements[], bulk_statements[];
extern const size_t customer_statement_count, customer_search_statement_count, event_statement_count,
        node_statement_count, aggregate_statement_count, stat_statement_count, update_statement_count,
        bulk_statement_count;

#endif
