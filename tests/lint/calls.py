"""Calls that libraries do not make, and those nobody makes, each with what to use instead."""
import re

import source

CLOCK = "results depend on the input and the seed alone"
RANDOM = "use a stream of sim/base/random.h"
NUMBER = "depends on the locale or hides overflow; use sim/base/units.h or g_ascii_*"
PRINTS = "libraries never print; give the text to the caller"
ENDS = "libraries never end the program; use moe_diag, GError or moe_assert"
UNBOUNDED = "writes without a bound; use snprintf, g_strdup_printf or GString"

EVERYWHERE = {
    **dict.fromkeys(["rand", "srand", "random", "srandom", "rand_r", "drand48", "lrand48",
                     "g_random_int", "g_random_double", "g_rand_new", "g_random_int_range"], RANDOM),
    **dict.fromkeys(["atoi", "atol", "atoll", "atof"], NUMBER),
    **dict.fromkeys(["strcpy", "strcat", "sprintf", "vsprintf", "gets", "stpcpy"], UNBOUNDED),
    "strtok": "keeps hidden state; use strtok_r or g_strsplit",
    "alloca": "the stack is not for data; use malloc or g_new",
    "g_alloca": "the stack is not for data; use malloc or g_new",
    "system": "use GSubprocess",
    "popen": "use GSubprocess",
}
IN_LIBRARIES = {
    "setlocale": "numbers are read and written the same way everywhere",
    **dict.fromkeys(["strtod", "strtof", "strtold", "sscanf", "fscanf", "vsscanf"], NUMBER),
    **dict.fromkeys(["printf", "vprintf", "puts", "putchar", "perror", "g_print", "g_printerr",
                     "g_message", "g_warning", "g_info", "g_debug", "g_log"], PRINTS),
    **dict.fromkeys(["exit", "_exit", "_Exit", "quick_exit", "abort", "g_error", "g_assert",
                     "g_assert_not_reached", "g_critical", "assert"], ENDS),
}
# Where nothing may depend on when it runs. The profiler measures; the store notes a date.
IN_SIMULATION = dict.fromkeys(
    ["time", "clock", "gettimeofday", "localtime", "gmtime", "clock_gettime", "g_get_real_time",
     "g_get_monotonic_time", "g_timer_new", "g_date_time_new_now_utc", "g_date_time_new_now_local"],
    CLOCK)
# libm differs between machines in the last digit; only sqrt is exact.
IN_EVENTS = dict.fromkeys(
    ["pow", "exp", "exp2", "log", "log2", "log10", "log1p", "expm1", "sin", "cos", "tan", "cbrt"],
    "not the same on every machine; tabulate it at load time")

SIMULATION = [f for f in source.LIBRARIES if f not in ("profiler", "analysis")]
EVENTS = ["sim/core", "sim/residency"]
STREAMS = re.compile(r"\b(fprintf|vfprintf|fputs|fputc|fwrite|putc)\s*\([^;]*\b(stdout|stderr)\b")
CALL = re.compile(r"(?<![\w.>])([A-Za-z_]\w*)\s*\(")

# The one place that ends the program: a failed assertion.
ASSERTION = re.compile(r"^moe_assert_failed\(", re.MULTILINE)


def rules_for(path, text):
    rules = dict(EVERYWHERE)
    asserts = source.inside(path, ["sim/base"]) and ASSERTION.search(text)
    if source.inside(path, source.LIBRARIES) and not asserts:
        rules.update(IN_LIBRARIES)
    if source.inside(path, SIMULATION):
        rules.update(IN_SIMULATION)
    if source.inside(path, EVENTS):
        rules.update(IN_EVENTS)
    return rules, source.inside(path, source.LIBRARIES) and not asserts


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def main():
    report = source.Report()
    for path in source.c_files():
        report.checked += 1
        text = source.code(source.read(path))
        rules, silent = rules_for(path, text)
        for match in CALL.finditer(text):
            if match.group(1) in rules:
                name = match.group(1)
                report.add(path, line_of(text, match.start()), f"{name}(): {rules[name]}")
        for match in STREAMS.finditer(text) if silent else ():
            report.add(path, line_of(text, match.start()), f"{match.group(1)}(): {PRINTS}")
    report.end("forbidden calls")


main()
