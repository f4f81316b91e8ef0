/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/latency.h"

uint64_t latency_bound(unsigned int bucket)
{
	if (bucket == LATENCY_BUCKETS - 1)
		return UINT64_MAX;
	if (!bucket)
		return 1u << LATENCY_FIRST_LOG;
	return (uint64_t)(4 + (bucket - 1) % 4 + 1) << (LATENCY_FIRST_LOG - 2 + (bucket - 1) / 4);
}

uint64_t latency_count(const struct latency *l)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < LATENCY_BUCKETS; i++)
		count += l->bucket[i];
	return count;
}

COLD uint64_t latency_quantile(const struct latency *l, unsigned int permille)
{
	uint64_t count = latency_count(l);
	/* count * permille / 1000, rounded up, without an overflow of the product. */
	uint64_t wanted = count / 1000 * permille + (count % 1000 * permille + 999) / 1000;
	unsigned int i = 0;

	if (!count)
		return 0;
	for (uint64_t seen = l->bucket[0]; seen < wanted; seen += l->bucket[i])
		i++;
	return latency_bound(i < LATENCY_BUCKETS - 1 ? i : LATENCY_BUCKETS - 2);
}
