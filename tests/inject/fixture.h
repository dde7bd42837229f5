/* Runs tests/inject/program.c under the injector and reads what it left. */
#ifndef MOE_TESTS_INJECT_FIXTURE_H
#define MOE_TESTS_INJECT_FIXTURE_H

#include "tests/inject/reader.h"

/* Settings of programs that fork: a child may start threads, and does not give back what the
 * injector of its parent had. */
#define FORKS "TSAN_OPTIONS=die_after_fork=0 ASAN_OPTIONS=detect_leaks=0"

/* How a program ended. */
typedef struct ran {
    int status;      /* of wait */
    char *out;       /* what it printed */
    char *folder;    /* of its logs */
    GPtrArray *logs; /* raw_log, by name */
    char *calls;     /* of the fake CUPTI */
} ran;

/* actions: words of program.c by spaces; settings: NAME=VALUE by spaces, where a value may be
 * empty, which unsets it. */
ran *run_program(const char *settings, const char *actions);
void ran_free(ran *run);
/* The only log; a program that left another number of them fails the test: NULL. */
const raw_log *ran_log(const ran *run);
/* Exit status; -1: it did not end by exit. */
int ran_exit(const ran *run);

#endif
