/* Start, stop and read callgrind's count from Python: requests that only valgrind understands. */

#include <valgrind/callgrind.h>

int is_counting(void) { return RUNNING_ON_VALGRIND != 0; }

void begin(void) {
    CALLGRIND_START_INSTRUMENTATION;
    CALLGRIND_ZERO_STATS;
}

void end(const char *name) {
    CALLGRIND_DUMP_STATS_AT(name);
    CALLGRIND_STOP_INSTRUMENTATION;
}
