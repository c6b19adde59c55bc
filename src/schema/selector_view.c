/* selector_view.c - a selector from the generated struct of metav1.LabelSelector. Its layout is known by table only: the
 * struct belongs to the floor above. */
#include "schema/selector.h"
#include "schema/view.h"

int selector_from_view(struct arena *arena, const struct label_selector *view, const struct selector **ret_selector,
                       struct err *err)
{
    const struct type *type = api_type(STR("io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector"));
    struct json *json = NULL;
    int r;

    INVARIANT(type);
    r = view ? view_encode(arena, type, view, &json, err) : 0;
    return r < 0 ? r : selector_from_json(arena, json, ret_selector, err);
}
