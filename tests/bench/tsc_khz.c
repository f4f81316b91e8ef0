/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tsc_khz: prints the frequency of the processor's time stamp counter (aarch64: virtual counter) in
 * kHz. The freestanding guests use the counter as their clock; it has the same frequency in the
 * guest and on its host.
 */
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define NS     1000000000ull
#define PERIOD (NS / 20)
#define TRIES  32

struct moment {
	uint64_t ns, ticks;
};

static uint64_t now_ticks(void)
{
#ifdef __aarch64__
	uint64_t ticks;

	__asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(ticks));
	return ticks;
#else
	return __builtin_ia32_rdtsc();
#endif
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * NS + (uint64_t)t.tv_nsec;
}

/*
 * Reads both clocks at one time: returns the quickest of many readings, which was not interrupted.
 */
static struct moment look(void)
{
	struct moment best = { 0, 0 };
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = now_ticks(), ns = now_ns(), after = now_ticks();

		if (after - before < least) {
			least = after - before;
			best = (struct moment){ ns, before + least / 2 };
		}
	}
	return best;
}

int main(void)
{
	struct timespec period = { .tv_nsec = PERIOD };
	struct moment from = look(), to;

	nanosleep(&period, NULL);
	to = look();
	printf("%llu\n",
	       (unsigned long long)((to.ticks - from.ticks) * 1000000 / (to.ns - from.ns)));
	return 0;
}
