#include "scheduler/plugins/plugin.h"

/* A pod that names its node is none of the scheduler's; one that is asked for by name all the same only fits there. */
bool node_name_filter(const struct candidate *candidate, const struct node_row *row, struct buf *reason)
{
    if (!candidate->pod->spec.node_name.len || str_eq(candidate->pod->spec.node_name, row->name))
        return true;
    buf_add_cstr(reason, "node(s) didn't match the requested node name");
    return false;
}
