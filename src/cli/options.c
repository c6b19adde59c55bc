#include "cli/options.h"

void options_each(const struct argp *argp, void (*fn)(void *arg, const struct argp_option *option), void *arg)
{
    for (const struct argp_option *o = argp ? argp->options : NULL; o && (o->name || o->key); o++)
        if (!(o->flags & OPTION_HIDDEN))
            fn(arg, o);
    for (const struct argp_child *child = argp ? argp->children : NULL; child && child->argp; child++)
        options_each(child->argp, fn, arg);
}

char option_letter(const struct argp_option *option)
{
    return option->key > ' ' && option->key < 127 ? (char)option->key : 0;
}

struct search {
    struct str name;
    char letter;
    const struct argp_option *found;
};

static void look(void *arg, const struct argp_option *option)
{
    struct search *search = arg;

    if (search->letter ? option_letter(option) == search->letter : option->name && str_is(search->name, option->name))
        search->found = option;
}

const struct argp_option *option_find(const struct argp *argp, struct str word)
{
    struct search search = { 0 };

    if (str_has_prefix(word, STR("--"))) {
        ssize_t equals = str_chr(word, '=');

        search.name = str_skip(equals < 0 ? word : str_first(word, (size_t)equals), 2);
    } else if (str_has_prefix(word, STR("-")) && word.len > 1) {
        search.letter = word.data[word.len - 1];
    }
    if (search.name.len || search.letter)
        options_each(argp, look, &search);
    return search.found;
}
