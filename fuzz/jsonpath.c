/* JSONPath: the path, a zero byte, the document. */
#include "schema/jsonpath.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of(data, size), path_text;
    const struct jsonpath *path;
    const struct json *results[16];
    struct json *document;
    struct arena arena;

    arena_init(&arena, 0);
    if (str_split(&text, '\0', &path_text) && jsonpath_compile(&arena, path_text, &path, NULL) == 0 && text.data &&
        json_parse(&arena, text, NULL, &document, NULL) == 0) {
        size_t count = jsonpath_find(path, document, results, ARRAY_LEN(results));

        INVARIANT(count <= ARRAY_LEN(results));
        INVARIANT((count > 0) == (jsonpath_first(path, document) != NULL));
    }
    arena_deinit(&arena);
    return 0;
}
