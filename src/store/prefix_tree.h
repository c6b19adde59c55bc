/* prefix_tree.h - which watches want a key: a radix tree of their prefixes.
 *
 * Finding all prefixes of a key costs one walk down the key's bytes, however many other watches there are. Not
 * thread-safe. */
#pragma once

#include "base/list.h"
#include "base/str.h"

struct prefix_node {
    struct prefix_node *parent;
    struct prefix_node **children; /* by the first byte of their labels */
    size_t children_count, children_cap;
    char *label; /* the bytes between the parent and this node; the root's is empty */
    size_t label_len;
    struct list members; /* of the prefix that ends here */
};

void prefix_tree_init(struct prefix_node *root);
/* All members must have been removed. */
void prefix_tree_deinit(struct prefix_node *root);

/* The node to whose members a watch of this prefix belongs. NULL without memory. */
struct prefix_node *prefix_tree_insert(struct prefix_node *root, struct str prefix);
/* To be called when a member has left the node's list: forgets nodes that serve nobody. */
void prefix_tree_prune(struct prefix_node *node);

/* For each node whose prefix the key has: start with the root and *depth 0; NULL after the last. */
struct prefix_node *prefix_tree_next(struct prefix_node *node, struct str key, size_t *depth);
