#include "scheduler/plugins/plugin.h"

bool node_ports_filter(const struct candidate *candidate, const struct node_row *row, struct buf *reason)
{
    for (size_t i = 0; i < candidate->demand->port_count; i++)
        for (size_t p = 0; p < row->pods.count; p++)
            for (size_t k = 0; k < row->pods.items[p]->demand.port_count; k++)
                if (ports_clash(&candidate->demand->ports[i], &row->pods.items[p]->demand.ports[k])) {
                    buf_add_cstr(reason, "node(s) didn't have free ports for the requested pod ports");
                    return false;
                }
    return true;
}
