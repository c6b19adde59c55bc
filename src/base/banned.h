/* banned.h - libc calls that overrun, truncate silently or are not safe with threads do not compile.
 * Included in front of every file by the build. */
#pragma once

#ifdef __GNUC__
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok atoi atol atoll asctime ctime gmtime localtime tmpnam mktemp
#endif
