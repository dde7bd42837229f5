/* A program to be captured. Its arguments are what it does, one after another:
 *
 * cuda              loads libcuda.so.1 and calls cuInit
 * launch:NAME:N     N kernels; graph:NAME:NODE one that ran as a node of a graph
 * node:ID:ORIGINAL  a node of a graph comes into being
 * profiler:1|0      cudaProfilerStart or Stop
 * error:TEXT        CUPTI fails; odd: a record of an unknown kind
 * push:LAYER:STAGE  a range by the routing ABI; pop
 * step:N, end:N     of a step; route:N N calls of moesim_route; tokens; model; diagnostic
 * nvtx:WHAT         see nvtx_actions.c
 * aside:US          a thread makes the first call of all; US microseconds on, the next action
 * threads:N:TIMES   N threads, each with TIMES ranges, routes and launches
 * sleep:MS          fork … joined: the child does what stands between, and ends by exit
 * exec              starts itself anew with the rest
 * handle            installs a handler of SIGTERM that ends by exit(9); hurry: one that ends by
 *                   _exit(8) after a tenth of a second
 * closeall          closes all descriptors from 3 on, and opens files of its own in their place
 * limit:BYTES       no file may become larger
 * load:PATH         loads a library; unload: of the last
 * signal:N, exit:N, _exit:N, quick:N */
#include <dirent.h>
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "profiler/inject/moesim_route.h"
#include "tests/inject/fake_cupti.h"
#include "tests/inject/nvtx_actions.h"

static struct {
    __typeof__(&moesim_range_push) push;
    __typeof__(&moesim_range_pop) pop;
    __typeof__(&moesim_route) route;
    __typeof__(&moesim_step_begin) begin;
    __typeof__(&moesim_step_end) end;
    __typeof__(&moesim_tokens) tokens;
    __typeof__(&moesim_model) model;
    __typeof__(&moesim_diagnostic) diagnostic;
    fake_launch_call launch;
    fake_node_call node;
    fake_profiler_call profiler;
    fake_error_call error;
    fake_odd_call odd;
} call;

static _Noreturn void
fail(const char *what)
{
    fprintf(stderr, "program: %s: %s\n", what, dlerror());
    exit(70);
}

static void *
symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);
    if (found == NULL)
        fail(name);
    return found;
}

#define FIND(library, member, name)                                                                \
    do {                                                                                           \
        void *found = symbol(library, name);                                                       \
        memcpy(&call.member, &found, sizeof found);                                                \
    } while (0)

static void
find_injector(void)
{
    if (call.push != NULL)
        return;
    const char *path = getenv("MOESIM_INJECT_LIB");
    void *library = path != NULL ? dlopen(path, RTLD_NOW) : NULL;
    if (library == NULL)
        fail("MOESIM_INJECT_LIB");
    FIND(library, push, "moesim_range_push");
    FIND(library, pop, "moesim_range_pop");
    FIND(library, route, "moesim_route");
    FIND(library, begin, "moesim_step_begin");
    FIND(library, end, "moesim_step_end");
    FIND(library, tokens, "moesim_tokens");
    FIND(library, model, "moesim_model");
    FIND(library, diagnostic, "moesim_diagnostic");
}

/* What the injector loaded. */
static void
find_fake(void)
{
    if (call.launch != NULL)
        return;
    void *library = dlopen(getenv("MOESIM_CUPTI_LIB"), RTLD_NOW | RTLD_NOLOAD);
    if (library == NULL)
        fail("MOESIM_CUPTI_LIB");
    FIND(library, launch, "fake_launch");
    FIND(library, node, "fake_node");
    FIND(library, profiler, "fake_profiler");
    FIND(library, error, "fake_error");
    FIND(library, odd, "fake_odd");
}

static void
start_cuda(void)
{
    void *driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (driver == NULL)
        fail("libcuda.so.1");
    void *found = symbol(driver, "cuInit");
    int (*initialize)(unsigned);
    memcpy(&initialize, &found, sizeof initialize);
    if (initialize(0) != 0)
        fail("cuInit");
}

static void
pause_ms(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0)
        continue;
}

static void
route(long n)
{
    for (long i = 0; i < n; i++) {
        int32_t ids[6] = {(int32_t)i % 64, 1, 2, 3, -1, 70000};
        float weights[6] = {0.5f, 0.25f, 0.125f, 1, 2, 3};
        if (call.route((int32_t)i, 3, 0, 3, 2, ids, i % 2 ? weights : NULL) != 0)
            printf("route lost\n");
    }
}

static void
add_tokens(void)
{
    int32_t sequence[3] = {0, 0, 1}, position[3] = {4, 5, 9};
    printf("tokens %d\n", call.tokens(3, 0, 3, sequence, position, NULL));
}

typedef struct job {
    long times, number;
} job;

static void *
work(void *data)
{
    const job *mine = data;
    for (long i = 0; i < mine->times; i++) {
        call.push((int32_t)mine->number, i % 2 ? "experts" : "router");
        if (call.launch != NULL)
            call.launch("racing", 1, 0);
        int32_t ids[2] = {1, 2};
        call.route((int32_t)mine->number, i, 0, 1, 2, ids, NULL);
        call.pop();
    }
    return NULL;
}

static void
race(long n, long times)
{
    pthread_t threads[64];
    job jobs[64];
    for (long i = 0; i < n && i < 64; i++) {
        jobs[i] = (job){times, i};
        pthread_create(&threads[i], NULL, work, &jobs[i]);
    }
    for (long i = 0; i < n && i < 64; i++)
        pthread_join(threads[i], NULL);
}

static void *
first_call(void *unused)
{
    (void)unused;
    call.push(1, "router");
    call.pop();
    return NULL;
}

static void
aside(long us)
{
    pthread_t thread;
    find_injector();
    pthread_create(&thread, NULL, first_call, NULL);
    pthread_detach(thread);
    nanosleep(&(struct timespec){0, us * 1000}, NULL);
}

static void
handler(int signal)
{
    (void)signal;
    exit(9);
}

static void
hurried(int signal)
{
    (void)signal;
    pause_ms(100);
    _exit(8);
}

static FILE *own;

static void
close_all(void)
{
    own = tmpfile();
    for (int fd = 3; fd < 256; fd++)
        if (fd != fileno(own))
            dup2(fileno(own), fd);
    fprintf(own, "own words");
    fflush(own);
}

/* What stands in the program's own file at the end. */
static void
show_own(void)
{
    char words[64] = "";
    if (own == NULL)
        return;
    rewind(own);
    size_t n = fread(words, 1, sizeof words - 1, own);
    words[n] = '\0';
    printf("own file: %s\n", words);
}

static void
limit(long bytes)
{
    struct rlimit most = {(rlim_t)bytes, (rlim_t)bytes};
    setrlimit(RLIMIT_FSIZE, &most);
}

static void
raise_for_good(int number)
{
    raise(number);
    pause_ms(5000);
}

#ifdef __SANITIZE_ADDRESS__
static bool
sleeps(const char *thread)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", thread);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return false;
    bool read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    const char *state = read ? strrchr(line, ')') : NULL;
    return state != NULL && strncmp(state, ") S", 3) == 0;
}

static bool
others_sleep(void)
{
    DIR *threads = opendir("/proc/self/task");
    bool all = threads != NULL;
    for (struct dirent *entry; all && (entry = readdir(threads)) != NULL;)
        if (*entry->d_name != '.' && strtol(entry->d_name, NULL, 10) != gettid())
            all = sleeps(entry->d_name);
    if (threads != NULL)
        closedir(threads);
    return all;
}

/* GCC's AddressSanitizer does not hold the locks of its allocator across a fork, as the C library
 * holds those of malloc: in a child forked off while another thread is in there, as each is that
 * begins, no thread can begin. A thread that sleeps is not in there; that it does twice in a row,
 * it was not just being woken. */
static void
settle(void)
{
    for (int looks = 0, calm = 0; calm < 2; looks++) {
        if (looks == 20000)
            fail("the threads do not come to rest");
        pause_ms(1);
        calm = others_sleep() ? calm + 1 : 0;
    }
}
#else
static void
settle(void)
{
}
#endif

/* The child goes on behind "fork"; the parent behind "joined". */
static char **
do_fork(char **words)
{
    fflush(NULL);
    settle();
    pid_t child = fork();
    if (child == 0) {
        alarm(20); /* a child that waits forever ends */
        return words + 1;
    }
    int status = 0;
    waitpid(child, &status, 0);
    printf("child %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    while (*words != NULL && strcmp(*words, "joined") != 0)
        words++;
    return *words != NULL ? words + 1 : words;
}

static _Noreturn void
end_with(int status)
{
    show_own();
    exit(status);
}

static void *last_loaded;

static bool
act_on_cuda(const char *verb, const char *text, long n)
{
    if (strcmp(verb, "cuda") == 0) {
        start_cuda();
        return true;
    }
    static const char *const verbs[] = {"launch", "graph", "node", "profiler", "error", "odd"};
    size_t i = 0;
    while (i < 6 && strcmp(verbs[i], verb) != 0)
        i++;
    if (i == 6)
        return false;
    find_fake();
    if (i == 0)
        call.launch(text, (unsigned)n, 0);
    else if (i == 1)
        call.launch(text, 1, (uint64_t)n);
    else if (i == 2)
        call.node(strtoul(text, NULL, 10), (uint64_t)n);
    else if (i == 3)
        call.profiler(*text == '1');
    else if (i == 4)
        call.error(text);
    else
        call.odd();
    return true;
}

static bool
act_on_routing(const char *verb, const char *text, const char *more, long n)
{
    long number = strtol(text, NULL, 10);
    static const char *const verbs[] = {"push",   "pop",   "step",       "end",    "route",
                                        "tokens", "model", "diagnostic", "threads"};
    size_t i = 0;
    while (i < 9 && strcmp(verbs[i], verb) != 0)
        i++;
    if (i == 9)
        return false;
    find_injector();
    if (i == 0)
        printf("push %d\n", call.push((int32_t)number, more));
    else if (i == 1)
        printf("pop %d\n", call.pop());
    else if (i == 2)
        call.begin(number, 1, 3, 2);
    else if (i == 3)
        call.end(number);
    else if (i == 4)
        route(number);
    else if (i == 5)
        add_tokens();
    else if (i == 6)
        call.model("{\"name\": \"a\n b\"}");
    else if (i == 7)
        call.diagnostic(1, "hook_note", text);
    else
        race(number, n);
    return true;
}

static void
act_on_process(const char *verb, const char *text)
{
    long n = strtol(text, NULL, 10);
    if (strcmp(verb, "sleep") == 0)
        pause_ms(n);
    else if (strcmp(verb, "aside") == 0)
        aside(n);
    else if (strcmp(verb, "handle") == 0)
        signal(SIGTERM, handler);
    else if (strcmp(verb, "hurry") == 0)
        signal(SIGTERM, hurried);
    else if (strcmp(verb, "closeall") == 0)
        close_all();
    else if (strcmp(verb, "limit") == 0)
        limit(n);
    else if (strcmp(verb, "load") == 0)
        last_loaded = dlopen(text, RTLD_NOW);
    else if (strcmp(verb, "unload") == 0)
        dlclose(last_loaded);
    else if (strcmp(verb, "signal") == 0)
        raise_for_good((int)n);
    else if (strcmp(verb, "exit") == 0 || strcmp(verb, "joined") == 0)
        end_with((int)n);
    else if (strcmp(verb, "quick") == 0)
        quick_exit((int)n);
    else if (strcmp(verb, "_exit") == 0)
        _exit((int)n);
    else
        fail(verb);
}

static void
act(const char *word)
{
    char copy[256];
    snprintf(copy, sizeof copy, "%s", word);
    char *rest = copy;
    const char *verb = strsep(&rest, ":"), *text = rest != NULL ? strsep(&rest, ":") : "";
    const char *more = rest != NULL ? rest : "";
    long n = strtol(more, NULL, 10);
    if (strcmp(verb, "nvtx") == 0)
        nvtx_act(text);
    else if (!act_on_cuda(verb, text, n) && !act_on_routing(verb, text, more, n))
        act_on_process(verb, strcmp(verb, "load") == 0 ? word + 5 : text);
}

int
main(int argc, char **argv)
{
    (void)argc;
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (char **word = argv + 1; *word != NULL;) {
        if (strcmp(*word, "fork") == 0) {
            word = do_fork(word);
        } else if (strcmp(*word, "exec") == 0) {
            *word = argv[0];
            execv("/proc/self/exe", word);
            fail("exec");
        } else {
            act(*word++);
        }
    }
    return 0;
}
