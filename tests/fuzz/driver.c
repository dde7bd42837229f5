/* Replays a corpus without libFuzzer: every file of the folder as it is, then mutations of each.
 *
 *   <name>_fuzz FOLDER [MUTATIONS]
 *
 * Mutations (200 per file unless told) are a pure function of the file's bytes and the number of
 * the mutation: truncations, flipped bits, overwritten, inserted, doubled and removed stretches,
 * and splices with the next file. When an input kills the program, its name and number are
 * printed and its bytes are kept in `crash-input` in the current folder, ready for the corpus. */
#include "sim/base/random.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* There under a sanitizer: called when it is about to end the program. */
__attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)(void));

typedef struct input {
    char *name;
    uint8_t *data;
    size_t size;
} input;

static struct {
    char text[512];
    const uint8_t *data;
    size_t size;
} current;

static void
keep_crash(void)
{
    int fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0644);
    bool kept = fd >= 0 && write(fd, current.data, current.size) == (ssize_t)current.size;
    static const char where[] = " (kept in crash-input)\n";
    (void)!write(STDERR_FILENO, current.text, strlen(current.text));
    (void)!write(STDERR_FILENO, kept ? where : "\n", kept ? sizeof where - 1 : 1);
}

static void
on_signal(int number)
{
    keep_crash();
    signal(number, SIG_DFL);
    raise(number);
}

static void
run(const char *name, unsigned mutation, const uint8_t *data, size_t size)
{
    snprintf(current.text, sizeof current.text, "input %s, mutation %u, %zu bytes", name, mutation,
             size);
    current.data = data;
    current.size = size;
    LLVMFuzzerTestOneInput(data, size);
}

static bool
read_input(const char *folder, const char *name, input *out)
{
    char path[4096];
    struct stat info;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (stat(path, &info) != 0 || !S_ISREG(info.st_mode))
        return false;
    FILE *file = fopen(path, "rb");
    if (!file)
        return false;
    size_t size = (size_t)info.st_size;
    *out = (input){.name = strdup(name), .data = malloc(size + 1), .size = size};
    bool whole = out->data && fread(out->data, 1, size, file) == size;
    fclose(file);
    return whole;
}

static int
by_name(const void *a, const void *b)
{
    return strcmp(((const input *)a)->name, ((const input *)b)->name);
}

static size_t
read_corpus(const char *folder, input **out)
{
    DIR *dir = opendir(folder);
    if (!dir) {
        perror(folder);
        return 0;
    }
    size_t n = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        input *grown = realloc(*out, (n + 1) * sizeof **out);
        if (!grown)
            break;
        *out = grown;
        if (read_input(folder, entry->d_name, &grown[n]))
            n++;
    }
    closedir(dir);
    if (n)
        qsort(*out, n, sizeof **out, by_name);
    return n;
}

static moe_stream
stream_of(const input *in, unsigned mutation)
{
    uint64_t key = mutation;
    for (size_t i = 0; i < in->size; i++)
        key = moe_mix64(key + in->data[i] + 0x9E3779B97F4A7C15ull);
    return (moe_stream){.key = key};
}

/* A byte that parsers care about, or any. */
static uint8_t
odd_byte(moe_stream *stream)
{
    static const char odd[] = "\0\xff\x7f\x80\n\t {}[]:,\"'-#&*|>!%@0919eE.\\";
    if (moe_stream_below(stream, 2))
        return (uint8_t)odd[moe_stream_below(stream, sizeof odd - 1)];
    return (uint8_t)moe_stream_next(stream);
}

/* Writes a mutation of `in` to `out` (room for 2 * size + other->size + 64); its size. */
static size_t
mutate(const input *in, const input *other, unsigned mutation, uint8_t *out)
{
    moe_stream stream = stream_of(in, mutation);
    size_t size = in->size;
    size_t at = (size_t)moe_stream_below(&stream, size + 1);
    size_t length = (size_t)moe_stream_below(&stream, (size - at < 64 ? size - at : 64) + 1);
    memcpy(out, in->data, size);
    switch (mutation % 8) {
    case 0: /* truncated */
        return at;
    case 1: /* 1 to 8 bits flipped */
        for (uint64_t i = moe_stream_below(&stream, 8) + 1; i && size; i--)
            out[moe_stream_below(&stream, size)] ^= (uint8_t)(1u << moe_stream_below(&stream, 8));
        return size;
    case 2: /* 1 to 4 bytes overwritten */
        for (uint64_t i = moe_stream_below(&stream, 4) + 1; i && size; i--)
            out[moe_stream_below(&stream, size)] = odd_byte(&stream);
        return size;
    case 3: /* up to 32 bytes put in */
        length = (size_t)moe_stream_below(&stream, 32) + 1;
        memmove(out + at + length, out + at, size - at);
        for (size_t i = 0; i < length; i++)
            out[at + i] = odd_byte(&stream);
        return size + length;
    case 4: /* a stretch taken out */
        memmove(out + at, out + at + length, size - at - length);
        return size - length;
    case 5: /* a stretch doubled */
        memmove(out + at + length, out + at, size - at);
        return size + length;
    case 6: /* the start of this file, the end of another */
        length = (size_t)moe_stream_below(&stream, other->size + 1);
        memcpy(out + at, other->data + (other->size - length), length);
        return at + length;
    default: /* eight bytes of one value: an extreme number in a binary header */
        for (size_t i = at; i < size && i < at + 8; i++)
            out[i] = mutation & 8 ? 0xFF : 0;
        return size;
    }
}

static uint64_t
run_mutations(const input *in, const input *other, unsigned mutations)
{
    uint8_t *buffer = malloc(2 * in->size + other->size + 64);
    if (!buffer)
        return 0;
    for (unsigned m = 1; m <= mutations; m++) {
        size_t size = mutate(in, other, m, buffer);
        /* An exact allocation, so that a sanitizer sees the first byte read past the end. */
        uint8_t *exact = malloc(size ? size : 1);
        if (!exact)
            break;
        memcpy(exact, buffer, size);
        run(in->name, m, exact, size);
        free(exact);
    }
    free(buffer);
    return mutations;
}

int
main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: %s FOLDER [MUTATIONS]\n", argv[0]);
        return 2;
    }
    unsigned mutations = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 200;
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_crash);
    else
        signal(SIGSEGV, on_signal);
    signal(SIGABRT, on_signal);

    input *corpus = NULL;
    size_t n = read_corpus(argv[1], &corpus);
    if (n == 0) {
        fprintf(stderr, "%s: no corpus\n", argv[1]);
        return 1;
    }
    uint64_t mutated = 0;
    for (size_t i = 0; i < n; i++)
        run(corpus[i].name, 0, corpus[i].data, corpus[i].size);
    for (size_t i = 0; i < n; i++)
        mutated += run_mutations(&corpus[i], &corpus[(i + 1) % n], mutations);
    printf("%s: %zu files, %llu mutations\n", argv[1], n, (unsigned long long)mutated);
    for (size_t i = 0; i < n; i++) {
        free(corpus[i].name);
        free(corpus[i].data);
    }
    free(corpus);
    return 0;
}
