/* selector_view.c - a selector from the generated struct of metav1.LabelSelector. */
#include "api/meta_v1.h"
#include "schema/selector_impl.h"

int selector_from_view(struct arena *arena, const struct label_selector *view, const struct selector **ret_selector,
                       struct err *err)
{
    struct selector *selector;
    int r;

    if (!view) {
        *ret_selector = &selector_nothing;
        return 0;
    }
    if (!(selector = selector_new(arena)))
        return err_set(err, ERR_NO_MEMORY, "selector");
    for (size_t i = 0; i < view->match_labels.count; i++)
        if ((r = selector_add(arena, selector, view->match_labels.items[i].key, REQUIRE_EQUALS,
                              (struct str_array){ &view->match_labels.items[i].value, 1 }, err)) < 0)
            return r;
    for (size_t i = 0; i < view->match_expressions.count; i++) {
        enum requirement_op op;

        if (!selector_op_from_name(view->match_expressions.items[i].operator, & op))
            return err_set(err, ERR_BAD_REQUEST, "\"" STR_FMT "\" is not a valid label selector operator",
                           STR_ARG(str_first(view->match_expressions.items[i].operator, 100)));
        if ((r = selector_add(arena, selector, view->match_expressions.items[i].key, op,
                              (struct str_array){ view->match_expressions.items[i].values.items,
                                                  view->match_expressions.items[i].values.count },
                              err)) < 0)
            return r;
    }
    selector_sort(selector);
    *ret_selector = selector->count ? selector : NULL;
    return 0;
}
