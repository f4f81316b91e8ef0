# SPDX-License-Identifier: BSD-3-Clause
"""Statistics of a few repetitions: spread, effect size, permutation test."""

import itertools
import math
import random

# If there are at most EXACT ways to divide the repetitions into two groups, all are tried;
# otherwise EXACT random ones.
EXACT = 20000


def median(values):
    ordered = sorted(values)
    n = len(ordered)
    if not n:
        return None
    return ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2


def spread(values):
    """Returns half of the range, from the minimum to the maximum, as a share of the median."""
    middle = median(values)
    return (max(values) - min(values)) / 2 / middle if middle else 0.0


def effect(old, new):
    """Returns the ratio of the medians, and Cliff's delta: the share of pairs with new above old
    less that with new below old, from -1 to 1."""
    pairs = [(n > o) - (n < o) for o in old for n in new]
    base = median(old)
    return (median(new) / base if base else math.nan), sum(pairs) / len(pairs)


def permutation(low, high):
    """Returns the one-sided p value: the probability that the mean of `high` is at least this far
    above that of `low` if the labels are exchangeable."""
    pool = low + high
    n, total = len(high), sum(low) + sum(high)
    # For groups of fixed size, comparing sums is comparing means. The tolerance absorbs the
    # rounding of sums in another order.
    observed = sum(high) - 1e-9 * (1 + abs(total))
    if math.comb(len(pool), n) <= EXACT:
        ways = [sum(group) >= observed for group in itertools.combinations(pool, n)]
        return sum(ways) / len(ways)
    chance = random.Random(1)
    hits = sum(sum(chance.sample(pool, n)) >= observed for _ in range(EXACT))
    return (hits + 1) / (EXACT + 1)


def worse_p(old, new, floor, higher_is_better):
    """Returns the p value of "new is worse than old by more than the floor" (0.05: 5 %). The
    permutation test compares new with old made worse by exactly the floor."""
    if min(old + new) <= 0:
        return 1.0
    sign = 1 if higher_is_better else -1
    allowed = -math.log(1 - floor) if higher_is_better else math.log(1 + floor)
    good_old = [sign * math.log(v) for v in old]
    good_new = [sign * math.log(v) + allowed for v in new]
    return permutation(good_new, good_old)


def smallest_p(old_count, new_count):
    return 1 / math.comb(old_count + new_count, new_count)


def holm(pvalues):
    """Returns the p values adjusted for their number (Holm), in the order given."""
    adjusted, largest = [1.0] * len(pvalues), 0.0
    for rank, i in enumerate(sorted(range(len(pvalues)), key=lambda i: pvalues[i])):
        largest = max(largest, min(1.0, pvalues[i] * (len(pvalues) - rank)))
        adjusted[i] = largest
    return adjusted
