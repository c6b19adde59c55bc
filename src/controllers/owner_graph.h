/* owner_graph.h - who depends on whom: owner uid -> keys of the objects whose owner references name it. Any thread. */
#pragma once

#include "api/meta_v1.h"
#include "client/object.h"

struct owner_graph;
int owner_graph_new(struct owner_graph **ret_graph, struct err *err);
struct owner_graph *owner_graph_free(struct owner_graph *graph);

/* The object of that key had these owners and now has those. Without memory the link is missing until its next change;
 * false says so. */
bool owner_graph_change(struct owner_graph *graph, struct str key, const struct owner_reference_array *old,
                        const struct owner_reference_array *new);
/* The owner went at that revision; kept as long as it has dependents. */
void owner_graph_note_gone(struct owner_graph *graph, struct str uid, uint64_t revision);
/* 0: not known. */
uint64_t owner_graph_gone_at(struct owner_graph *graph, struct str uid);
bool owner_graph_has_dependents(struct owner_graph *graph, struct str uid);
/* Keys are copied into the arena. */
int owner_graph_dependents(struct owner_graph *graph, struct str uid, struct arena *arena, struct str_array *ret_keys,
                           struct err *err);
