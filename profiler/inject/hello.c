#include "profiler/inject/hello.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "profiler/inject/log.h"

enum { ROOM = 65536, MOST_ARGV = 32768 };

typedef struct hello_text {
    char *text;
    size_t used;
} hello_text;

void
moe_hello_value(char *out, size_t room, const char *value)
{
    size_t n = 0;
    for (; value[n] != '\0' && n + 1 < room; n++)
        out[n] = value[n] == '\n' || value[n] == '\r' ? ' ' : value[n];
    out[n] = '\0';
}

static void
add(hello_text *hello, const char *key, const char *value)
{
    int n = snprintf(hello->text + hello->used, ROOM - hello->used, "%s=", key);
    if (n < 0 || hello->used + (size_t)n + 2 > ROOM)
        return;
    hello->used += (size_t)n;
    moe_hello_value(hello->text + hello->used, ROOM - hello->used - 1, value);
    hello->used += strlen(hello->text + hello->used);
    hello->text[hello->used++] = '\n';
    hello->text[hello->used] = '\0';
}

static void
add_number(hello_text *hello, const char *key, long long number)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", number);
    add(hello, key, text);
}

/* The start of a file of /proc; the bytes read, ended by zero. */
static size_t
read_start(const char *path, char *out, size_t room)
{
    size_t used = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && used + 1 < room) {
        ssize_t n = read(fd, out + used, room - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        used += (size_t)n;
    }
    if (fd >= 0)
        close(fd);
    out[used] = '\0';
    return used;
}

static void
add_program(hello_text *hello)
{
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    exe[n > 0 ? n : 0] = '\0';
    add(hello, "exe", exe);
    char *words = malloc(MOST_ARGV);
    if (words == NULL)
        return;
    size_t used = read_start("/proc/self/cmdline", words, MOST_ARGV);
    while (used > 0 && words[used - 1] == '\0')
        used--;
    for (size_t i = 0; i < used; i++)
        if (words[i] == '\0')
            words[i] = '\x1f';
    add(hello, "argv", words);
    free(words);
}

static void
add_driver(hello_text *hello)
{
    char text[512];
    read_start("/proc/driver/nvidia/version", text, sizeof text);
    text[strcspn(text, "\n")] = '\0';
    if (text[0] != '\0')
        add(hello, "driver", text);
}

static void
add_asked(hello_text *hello, const moe_options *options)
{
    const char *window = getenv("MOESIM_RANGE");
    char trace[128];
    moe_options_trace(options, trace, sizeof trace);
    add(hello, "trace", trace);
    if (window != NULL && *window != '\0')
        add(hello, "window", window);
    if (options->delay_ns != 0)
        add_number(hello, "delay_ms", (long long)(options->delay_ns / 1000000));
    if (options->duration_ns != 0)
        add_number(hello, "duration_ms", (long long)(options->duration_ns / 1000000));
}

char *
moe_hello(const char *who, const moe_options *options, int forked_from)
{
    hello_text hello = {.text = malloc(ROOM)};
    if (hello.text == NULL)
        return NULL;
    hello.text[0] = '\0';
    add(&hello, "abi", "1");
    add_number(&hello, "pid", getpid());
    add_number(&hello, "ppid", getppid());
    if (forked_from != 0)
        add_number(&hello, "forked_from", forked_from);
    add_program(&hello);
    const char *rank = getenv("RANK");
    if (rank == NULL)
        rank = getenv("OMPI_COMM_WORLD_RANK");
    if (rank != NULL)
        add(&hello, "rank", rank);
    add(&hello, "started_by", who);
    add_driver(&hello);
    add_asked(&hello, options);
    return hello.text;
}

void
moe_hello_add(const char *key, const char *value)
{
    size_t room = strlen(key) + strlen(value) + 3;
    hello_text hello = {.text = room <= ROOM ? malloc(ROOM) : NULL};
    if (hello.text == NULL)
        return;
    add(&hello, key, value);
    moe_log_hello(hello.text);
    free(hello.text);
}
