#include "cli/cli.h"

const struct command commands[] = {
    { "up", "turn this machine into a cluster", up_main },
    { "down", "stop it; --purge removes everything", down_main },
    { "server", "run the control plane alone", server_main },
    { "agent", "run a node alone", agent_main },
    { "image", "import, list and remove the images of this node", image_main },
    { "version", "print the version", version_main },
};
const size_t command_count = ARRAY_LEN(commands);
