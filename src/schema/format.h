/* format.h - text of a known form: names, label keys, addresses; what is wrong with it, in Kubernetes' words. */
#pragma once

#include "base/str.h"

enum value_format {
    FORMAT_NONE,
    FORMAT_SUBDOMAIN,   /* RFC 1123 subdomain, 253 bytes */
    FORMAT_LABEL,       /* RFC 1123 label, 63 bytes */
    FORMAT_DNS1035,     /* a label that starts with a letter */
    FORMAT_KEY,         /* qualified name: of labels, annotations, resources, finalizers */
    FORMAT_LABEL_VALUE,
    FORMAT_LABELS,      /* a map of them */
    FORMAT_PORT,        /* a number from 1 to 65535, or a port's name */
    FORMAT_PORT_NAME,   /* IANA service name, 15 bytes */
    FORMAT_IP,
    FORMAT_CIDR,
    FORMAT_CONFIG_KEY,  /* of config maps and secrets */
    FORMAT_ENV_NAME,
    FORMAT_PATH_SEGMENT,
    FORMAT_FILE_MODE, /* a number from 0 to 0777 */
};

/* What is wrong, sentences that live for ever; 0: nothing. "" is not exempt. */
#define FORMAT_PROBLEMS_MAX 6
size_t format_problems(enum value_format format, struct str value, const char *ret_problems[FORMAT_PROBLEMS_MAX]);

bool name_is_label(struct str name);     /* RFC 1123 label */
bool name_is_subdomain(struct str name); /* RFC 1123 subdomain */
bool name_is_dns1035(struct str name);
bool name_is_port(struct str name);
/* The first problem; NULL: fine. */
const char *qualified_name_problem(struct str name);
const char *label_value_problem(struct str value);
int text_ip_family(struct str text); /* 4 or 6; 0: no address */
