/* describe_related.h - what `caravel describe` tells of an object that stands in others: the endpoints of a service, the
 * pods of a node and what they ask for, the ReplicaSets of a deployment. */
#pragma once

#include "cli/doc.h"
#include "cli/resources.h"

/* Asks the server; adds nothing for other kinds. object: as it came. On error the rest of the description stands. */
int describe_related(struct doc *doc, struct session *session, const struct resource *resource, const struct json *object,
                     nsec_t now, struct err *err);

/* -- its parts: items are of the list that was asked for; NULL: none -- */

void describe_endpoints(struct doc *doc, const struct json *service, const struct json *slices, nsec_t now);
void describe_node_pods(struct doc *doc, const struct json *node, const struct json *pods, nsec_t now);
void describe_replica_sets(struct doc *doc, const struct json *deployment, const struct json *sets, nsec_t now);
