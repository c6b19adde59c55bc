/* image_ref.h - names of images, normalised as Docker and Kubernetes do.
 *
 * "nginx" is docker.io/library/nginx:latest; "ghcr.io/a/b@sha256:..." keeps its digest and gets no tag. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct image_ref {
    struct str domain; /* "docker.io", "localhost:5000", "[::1]:5000" */
    struct str path;   /* "library/nginx" */
    struct str name;   /* domain/path */
    struct str tag;    /* unset when only a digest was given; else "latest" by default */
    struct str digest; /* "sha256:..." or unset */
    struct str text;   /* the whole, normalised; NUL-terminated */
};

/* Everything lies in the arena. ERR_INVALID ("invalid reference format...") is what Kubernetes calls InvalidImageName.
 */
int image_ref_parse(struct arena *arena, struct str text, struct image_ref *ret_ref, struct err *err);
/* name:tag and name@digest in the arena; unset without the part (or without memory). */
struct str image_ref_tagged(struct arena *arena, const struct image_ref *ref);
struct str image_ref_digested(struct arena *arena, const struct image_ref *ref, struct str digest);
/* host:port to talk to: docker.io is served by registry-1.docker.io. */
struct str image_ref_host(const struct image_ref *ref);
