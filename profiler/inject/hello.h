/* The first words of a raw log: who the process is and what was asked. */
#ifndef MOE_PROFILER_INJECT_HELLO_H
#define MOE_PROFILER_INJECT_HELLO_H

#include <stddef.h>

#include "profiler/inject/options.h"

/* Text of the first HELLO, to be freed; forked_from 0: no captured parent. NULL: no memory. */
char *moe_hello(const char *who, const moe_options *options, int forked_from);
/* Copies a value as one line: line feeds become spaces. At most room - 1 bytes and a zero. */
void moe_hello_value(char *out, size_t room, const char *value);
/* One further line of HELLO. */
void moe_hello_add(const char *key, const char *value);

#endif
