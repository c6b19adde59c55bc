/* completion.c - caravel completion bash|zsh|fish: scripts that ask `caravel __complete` for candidates. */
#include <errno.h>
#include <stdio.h>

#include "cli/cli.h"

static const char bash_script[] =
    "# bash completion for caravel\n"
    "_caravel() {\n"
    "  local line\n"
    "  COMPREPLY=()\n"
    "  while IFS= read -r line; do\n"
    "    if [ \"$line\" = :files ]; then\n"
    "      compopt -o default 2>/dev/null\n"
    "      COMPREPLY=()\n"
    "      return\n"
    "    fi\n"
    "    COMPREPLY+=(\"${line%%$'\\t'*}\")\n"
    "  done < <(\"${COMP_WORDS[0]}\" __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
    "  case ${COMPREPLY[0]-} in\n"
    "    *= | */ | *,) [ ${#COMPREPLY[@]} -ne 1 ] || compopt -o nospace 2>/dev/null ;;\n"
    "  esac\n"
    "}\n"
    "complete -F _caravel caravel\n";

static const char zsh_script[] =
    "#compdef caravel\n"
    "_caravel() {\n"
    "  local line\n"
    "  local -a lines items open\n"
    "  lines=(\"${(@f)$($words[1] __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
    "  if [[ ${lines[1]} == :files ]]; then\n"
    "    _files\n"
    "    return\n"
    "  fi\n"
    "  for line in $lines; do\n"
    "    local word=${line%%$'\\t'*}\n"
    "    local doc=${line#$word}\n"
    "    doc=${doc#$'\\t'}\n"
    "    if [[ $word == *[=/] ]]; then\n"
    "      open+=(\"${word//:/\\\\:}${doc:+:$doc}\")\n"
    "    elif [[ -n $word ]]; then\n"
    "      items+=(\"${word//:/\\\\:}${doc:+:$doc}\")\n"
    "    fi\n"
    "  done\n"
    "  (( ${#items} )) && _describe caravel items\n"
    "  (( ${#open} )) && _describe caravel open -S ''\n"
    "}\n"
    "compdef _caravel caravel\n";

static const char fish_script[] =
    "# fish completion for caravel\n"
    "function __caravel_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l token (commandline -ct)\n"
    "    test -n \"$token\"; or set token ''\n"
    "    set -l lines ($words[1] __complete $words[2..-1] $token 2>/dev/null)\n"
    "    if test \"$lines[1]\" = :files\n"
    "        __fish_complete_path $token\n"
    "    else if test (count $lines) -gt 0\n"
    "        printf '%s\\n' $lines\n"
    "    end\n"
    "end\n"
    "complete -c caravel -f -a '(__caravel_complete)'\n";

static const struct {
    const char *shell, *script;
} scripts[] = { { "bash", bash_script }, { "zsh", zsh_script }, { "fish", fish_script } };

static error_t parse(int key, char *value, struct argp_state *state)
{
    const char **shell = state->input;

    if (key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    if (*shell) {
        argp_error(state, "unexpected argument \"%s\"", value);
        return EINVAL;
    }
    *shell = value;
    return 0;
}

const struct argp completion_argp = {
    NULL, parse, "bash|zsh|fish",
    "Prints a script that teaches a shell the commands, options, types and names of objects.\v"
    "Examples:\n"
    "  source <(caravel completion bash)\n"
    "  caravel completion bash > /etc/bash_completion.d/caravel\n"
    "  caravel completion fish > ~/.config/fish/completions/caravel.fish",
    NULL, NULL, NULL,
};

int completion_main(int argc, char **argv)
{
    const char *shell = NULL;

    if (cli_parse(&completion_argp, argc, argv, &shell) != 0)
        return 2;
    for (size_t i = 0; shell && i < ARRAY_LEN(scripts); i++)
        if (strcmp(scripts[i].shell, shell) == 0) {
            fputs(scripts[i].script, stdout);
            return 0;
        }
    return cli_usage_error("completion", "say which shell: bash, zsh or fish");
}
