#include "cli/cli.h"

#include "base/str.h"

const struct command commands[] = {
    { "up", "turn this machine into a cluster", GROUP_CLUSTER, up_main, &up_argp, OPERANDS_NONE, NULL },
    { "down", "stop it; --purge removes everything", GROUP_CLUSTER, down_main, &down_argp, OPERANDS_NONE, NULL },
    { "server", "run the control plane alone", GROUP_CLUSTER, server_main, &server_argp, OPERANDS_NONE, NULL },
    { "agent", "run a node alone", GROUP_CLUSTER, agent_main, &agent_argp, OPERANDS_NONE, NULL },
    { "image", "import, list and remove the images of this node", GROUP_CLUSTER, image_main, &image_argp, OPERANDS_WORDS,
      "import|list|remove" },
    { "store", "check what is on disk", GROUP_CLUSTER, store_main, &store_argp, OPERANDS_WORDS, "check" },
    { "backup", "write all that a cluster knows into a file", GROUP_CLUSTER, backup_main, &backup_argp, OPERANDS_FILES, NULL },
    { "restore", "make a cluster's store of backups", GROUP_CLUSTER, restore_main, &restore_argp, OPERANDS_FILES, NULL },

    { "get", "show objects", GROUP_OBJECTS, get_main, &get_argp, OPERANDS_TYPES_AND_NAMES, NULL },
    { "describe", "describe objects in words", GROUP_OBJECTS, describe_main, &describe_argp, OPERANDS_TYPES_AND_NAMES, NULL },
    { "apply", "make objects as files describe them", GROUP_OBJECTS, apply_main, &apply_argp, OPERANDS_FILES, NULL },
    { "delete", "remove objects", GROUP_OBJECTS, delete_main, &delete_argp, OPERANDS_TYPES_AND_NAMES, NULL },
    { "undo", "take a deletion back", GROUP_OBJECTS, undo_main, &undo_argp, OPERANDS_WORD_AND_TYPE,
      "delete" },
    { "explain", "tell what a type of object and its fields are", GROUP_OBJECTS, explain_main, &explain_argp, OPERANDS_TYPES,
      NULL },
    { "diff", "show what has changed between two times", GROUP_OBJECTS, diff_main, &diff_argp, OPERANDS_TYPES_AND_NAMES,
      NULL },
    { "why", "tell who changed an object last, and because of what", GROUP_OBJECTS, why_main, &why_argp,
      OPERANDS_TYPES_AND_NAMES, NULL },
    { "api-resources", "list the types of objects", GROUP_OBJECTS, api_resources_main, &api_resources_argp, OPERANDS_NONE,
      NULL },

    { "logs", "print the logs of containers", GROUP_PODS, logs_main, &logs_argp, OPERANDS_PODS, NULL },
    { "exec", "run a command in a container", GROUP_PODS, exec_main, &exec_argp, OPERANDS_PODS, NULL },

    { "completion", "print a completion script for bash, zsh or fish", GROUP_OTHER, completion_main, &completion_argp,
      OPERANDS_WORDS, "bash|zsh|fish" },
    { "version", "print the version", GROUP_OTHER, version_main, &version_argp, OPERANDS_NONE, NULL },

    { "__complete", "for completion scripts", GROUP_HIDDEN, complete_main, NULL, OPERANDS_NONE, NULL },
    { "__man", "for the build", GROUP_HIDDEN, man_main, NULL, OPERANDS_NONE, NULL },
};
const size_t command_count = ARRAY_LEN(commands);

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

void commands_usage(FILE *out)
{
    static const char *const titles[] = {
        [GROUP_CLUSTER] = "Run a cluster",
        [GROUP_OBJECTS] = "Work with its objects",
        [GROUP_PODS] = "Look into pods",
        [GROUP_OTHER] = "More",
    };

    fprintf(out, "Usage: caravel COMMAND [OPTION...]\n");
    for (size_t group = 0; group < ARRAY_LEN(titles); group++) {
        fprintf(out, "\n%s:\n", titles[group]);
        for (size_t i = 0; i < command_count; i++)
            if (commands[i].group == (enum command_group)group)
                fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(out, "\n`caravel COMMAND --help` tells the options of one, `man caravel-COMMAND` more.\n");
}
