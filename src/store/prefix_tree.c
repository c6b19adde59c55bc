#include "store/prefix_tree.h"

void prefix_tree_init(struct prefix_node *root)
{
    *root = (struct prefix_node){ 0 };
    list_init(&root->members);
}

static void node_free(struct prefix_node *node)
{
    if (!node)
        return;
    free(node->children);
    free(node->label);
    free(node);
}

void prefix_tree_deinit(struct prefix_node *root)
{
    INVARIANT(root->children_count == 0 && list_empty(&root->members));
    free(root->children);
}

static struct prefix_node *node_new(struct str label)
{
    struct prefix_node *node = calloc(1, sizeof *node);

    if (!node)
        return NULL;
    list_init(&node->members);
    node->label = str_dup(label);
    node->label_len = label.len;
    if (!node->label) {
        node_free(node);
        return NULL;
    }
    return node;
}

/* Where the child that begins with a byte is, or belongs. */
static size_t child_place(const struct prefix_node *node, unsigned char byte)
{
    size_t low = 0, high = node->children_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if ((unsigned char)node->children[middle]->label[0] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct prefix_node *child_of(const struct prefix_node *node, char byte)
{
    size_t place = child_place(node, (unsigned char)byte);

    return place < node->children_count && node->children[place]->label[0] == byte ? node->children[place] : NULL;
}

static int children_room(struct prefix_node *node)
{
    if (node->children_count < node->children_cap)
        return 0;
    size_t cap = node->children_cap ? node->children_cap * 2 : 2;
    struct prefix_node **children = realloc(node->children, cap * sizeof *children);
    if (!children)
        return -1;
    node->children = children;
    node->children_cap = cap;
    return 0;
}

static void child_add(struct prefix_node *node, struct prefix_node *child)
{
    size_t place = child_place(node, (unsigned char)child->label[0]);

    memmove(node->children + place + 1, node->children + place,
            (node->children_count - place) * sizeof *node->children);
    node->children[place] = child;
    node->children_count++;
    child->parent = node;
}

static void child_remove(struct prefix_node *node, struct prefix_node *child)
{
    size_t place = child_place(node, (unsigned char)child->label[0]);

    INVARIANT(place < node->children_count && node->children[place] == child);
    node->children_count--;
    memmove(node->children + place, node->children + place + 1,
            (node->children_count - place) * sizeof *node->children);
}

static struct prefix_node *leaf_add(struct prefix_node *node, struct str label)
{
    struct prefix_node *leaf;

    if (children_room(node) < 0 || !(leaf = node_new(label)))
        return NULL;
    child_add(node, leaf);
    return leaf;
}

/* Cuts a child's label in two with a new node between; returns that node. */
static struct prefix_node *split(struct prefix_node *child, size_t at)
{
    struct prefix_node *parent = child->parent, *upper = node_new(str_of(child->label, at));

    if (!upper || children_room(upper) < 0) {
        node_free(upper);
        return NULL;
    }
    parent->children[child_place(parent, (unsigned char)child->label[0])] = upper;
    upper->parent = parent;
    child->label_len -= at;
    memmove(child->label, child->label + at, child->label_len);
    child_add(upper, child);
    return upper;
}

struct prefix_node *prefix_tree_insert(struct prefix_node *root, struct str prefix)
{
    struct prefix_node *node = root;

    while (prefix.len > 0) {
        struct prefix_node *child = child_of(node, prefix.data[0]);
        size_t common = 0;

        if (!child) {
            struct prefix_node *leaf = leaf_add(node, prefix);

            if (!leaf)
                prefix_tree_prune(node); /* a split may have come before */
            return leaf;
        }
        while (common < child->label_len && common < prefix.len && child->label[common] == prefix.data[common])
            common++;
        if (common < child->label_len && !(child = split(child, common)))
            return NULL;
        node = child;
        prefix = str_skip(prefix, common);
    }
    return node;
}

/* A node that only leads to one other becomes one with it. Without memory it stays: that costs nothing but a step. */
static void join_only_child(struct prefix_node *node)
{
    struct prefix_node *child = node->children[0], *parent = node->parent;
    char *label = malloc(node->label_len + child->label_len);

    if (!label)
        return;
    memcpy(label, node->label, node->label_len);
    memcpy(label + node->label_len, child->label, child->label_len);
    free(child->label);
    child->label = label;
    child->label_len += node->label_len;
    child->parent = parent;
    parent->children[child_place(parent, (unsigned char)label[0])] = child;
    node_free(node);
}

void prefix_tree_prune(struct prefix_node *node)
{
    while (node->parent && node->children_count == 0 && list_empty(&node->members)) {
        struct prefix_node *parent = node->parent;

        child_remove(parent, node);
        node_free(node);
        node = parent;
    }
    if (node->parent && node->children_count == 1 && list_empty(&node->members))
        join_only_child(node);
}

struct prefix_node *prefix_tree_next(struct prefix_node *node, struct str key, size_t *depth)
{
    struct str rest = str_skip(key, *depth);
    struct prefix_node *child = rest.len ? child_of(node, rest.data[0]) : NULL;

    if (!child || !str_has_prefix(rest, str_of(child->label, child->label_len)))
        return NULL;
    *depth += child->label_len;
    return child;
}
