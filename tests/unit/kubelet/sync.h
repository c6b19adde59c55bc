/* sync.h - one look at one pod without a runtime, a network or an API: the pod is text, its containers are a table. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "api/resources.h"
#include "kubelet/internal.h"

#define WALL (1700000000 * NSEC_PER_SEC) /* 2023-11-14T22:13:20Z */

struct test_sync {
    struct virtual_clock clock;
    struct kubelet kubelet;
    struct pod_sync sync;
};

/* JSON with single quotes, to be readable in C. */
static inline struct object *test_object(const struct resource *resource, const char *text)
{
    AUTO(blob) blob = blob_copy(str_from(text));
    struct object *object;
    struct err err;

    assert_non_null(blob);
    for (size_t i = 0; i < blob->len; i++)
        if (blob->data[i] == '\'')
            blob->data[i] = '"';
    if (object_new(resource, blob, &object, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return object;
}

/* rest: "'spec':{...}" and perhaps ",'status':{...}". */
static inline void test_sync_init(struct test_sync *test, const char *rest)
{
    char text[8192];

    *test = (struct test_sync){ 0 };
    virtual_clock_init(&test->clock, WALL);
    test->kubelet.options.clock = &test->clock.clock;
    test->kubelet.options.data_dir = "/nonexistent";
    test->kubelet.options.node_ip = STR("192.0.2.7");
    snprintf(text, sizeof text,
             "{'metadata':{'name':'web','namespace':'ns','uid':'u-1','labels':{'app':'x','tier':'a\\\\\\\"b'},"
             "'annotations':{'note':'1'}},%s}",
             rest);
    test->sync.kubelet = &test->kubelet;
    test->sync.object = test_object(&RESOURCE_PODS, text);
    test->sync.pod = OBJECT_VIEW(test->sync.object, pod);
    test->sync.arena = arena_new(0);
    test->sync.state = pod_state_new(STR("ns/web"), STR("u-1"));
    test->sync.now = clock_now(&test->clock.clock);
    assert_non_null(test->sync.arena);
    assert_non_null(test->sync.state);
}

static inline void test_sync_deinit(struct test_sync *test)
{
    pod_state_free(test->sync.state);
    object_unref(test->sync.object);
    arena_free(test->sync.arena);
}

/* "a:run b:0 c:137oom d#2:1 e:lost": name, attempt, and what became of it. Matches the slots. */
static inline void test_sync_containers(struct test_sync *test, const char *text)
{
    struct runtime_container *list = arena_array_of(test->sync.arena, 16, struct runtime_container);
    struct str rest = str_from(text), word;
    struct err err;
    size_t count = 0;

    while (str_split(&rest, ' ', &word)) {
        struct runtime_container *container = &list[count];
        struct str name, state = word;

        if (!word.len)
            continue;
        assert_true(str_split(&state, ':', &name));
        ssize_t hash = str_chr(name, '#');
        if (hash >= 0)
            container->attempt = (uint32_t)strtoul(name.data + hash + 1, NULL, 10);
        container->name = hash >= 0 ? str_first(name, (size_t)hash) : name;
        container->id = arena_printf(test->sync.arena, "id-" STR_FMT, STR_ARG(name));
        container->created_at = container->started_at = WALL - 20 * NSEC_PER_SEC;
        container->state = str_is(state, "run")    ? CONTAINER_RUNNING
                           : str_is(state, "lost") ? CONTAINER_UNKNOWN
                                                   : CONTAINER_EXITED;
        if (container->state != CONTAINER_RUNNING)
            container->finished_at = WALL - 10 * NSEC_PER_SEC;
        if (container->state == CONTAINER_EXITED)
            container->exit_code = (int)strtol(state.data, NULL, 10);
        container->oom_killed = str_has_suffix(state, STR("oom"));
        count++;
    }
    assert_int_equal(slots_match(&test->sync, list, count, &err), 0);
}

static inline struct container_slot *test_slot(struct test_sync *test, const char *name)
{
    for (size_t i = 0; i < test->sync.slot_count; i++)
        if (str_is(test->sync.slots[i].spec->name, name))
            return &test->sync.slots[i];
    fail_msg("no container %s", name);
    return NULL;
}
