/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/fuzz/request.h"

#include <linux/virtio_blk.h>

void request_compare(const struct requests *r, const struct vring_chain *c, const struct model *m)
{
	unsigned int at = 0, piece = 0, writable = 0;
	uint64_t done = 0;

	fuzz_must(c->out_len == m->out_len && c->in_len == m->in_len);
	fuzz_must(c->out_count + c->in_count == m->pieces && m->pieces <= c->capacity);
	for (; piece < m->pieces; piece++) {
		const struct iovec *iov = &c->iov[piece];
		uint64_t gpa = guest_gpa(&r->guest, iov->iov_base, iov->iov_len);

		fuzz_must(iov->iov_len && at < m->count);
		fuzz_must(gpa == m->buffer[at].gpa + done);
		fuzz_must(m->buffer[at].write == (piece >= c->out_count));
		writable += m->buffer[at].write;
		done += iov->iov_len;
		fuzz_must(done <= m->buffer[at].len);
		if (done == m->buffer[at].len) {
			at++;
			done = 0;
		}
	}
	fuzz_must(at == m->count && writable == c->in_count);
}

/* Checks that the engine gets the request's data, completely and nothing else. */
static void compare_task(const struct requests *r, const struct io_task *t, const struct model *m,
			 const struct model_answer *a)
{
	bool read = a->op == IO_READ;
	uint64_t sum = 0, left;

	fuzz_must(t->op == a->op);
	if (t->op == IO_FLUSH)
		return;
	if (t->op > IO_FLUSH) {
		fuzz_must(t->range_count == a->range_count);
		for (unsigned int i = 0; i < a->range_count; i++)
			fuzz_must(t->range[i].offset == a->range[i].offset &&
				  t->range[i].len == a->range[i].len &&
				  t->range[i].unmap == a->range[i].unmap);
		return;
	}
	fuzz_must(t->offset == a->offset && t->len == a->len);
	fuzz_must(read || t->stable == r->disk.writethrough);
	for (unsigned int i = 0; i < t->iov_count; i++) {
		uint64_t len = t->iov[i].iov_len;

		fuzz_must(len && guest_gpa(&r->guest, t->iov[i].iov_base, len) ==
					 model_byte(m, read, sum + (read ? 0 : 16), &left));
		sum += len;
	}
	fuzz_must(sum == t->len);
}

/* Does the engine's part: a read fills its buffers. */
static void run_task(struct requests *r, const struct io_task *t)
{
	if (t->op != IO_READ)
		return;
	for (unsigned int i = 0; i < t->iov_count; i++) {
		const struct iovec *iov = &t->iov[i];

		shadow_allow(&r->shadow, guest_gpa(&r->guest, iov->iov_base, iov->iov_len),
			     iov->iov_len);
		memset(iov->iov_base, 0xa5, iov->iov_len);
	}
}

enum blkreq_verdict request_judge(struct requests *r, struct slot *s, const struct model *m)
{
	uint64_t left;

	model_judge(&r->guest, m, &r->disk, &s->answer);
	for (uint32_t i = 0; i < s->answer.own; i++)
		shadow_allow(&r->shadow, model_byte(m, true, i, &left), 1);
	fuzz_must(blkreq_parse(&s->req, &r->disk, &s->task) == s->answer.verdict);
	if (s->answer.verdict == BLKREQ_BROKEN)
		return BLKREQ_BROKEN;
	fuzz_must(guest_gpa(&r->guest, s->req.status, 1) ==
		  model_byte(m, true, m->in_len - 1, &left));
	if (s->answer.verdict == BLKREQ_SUBMIT)
		compare_task(r, &s->task, m, &s->answer);
	return s->answer.verdict;
}

uint32_t request_finish(struct requests *r, struct slot *s, int result)
{
	const struct model_answer *a = &s->answer;
	uint32_t len;

	if (a->verdict == BLKREQ_SUBMIT && !result)
		run_task(r, &s->task);
	shadow_allow(&r->shadow, guest_gpa(&r->guest, s->req.status, 1), 1);
	len = blkreq_finish(&s->req, result);
	fuzz_must(*s->req.status == (result ? VIRTIO_BLK_S_IOERR : a->status));
	fuzz_must(len == (result ? a->used_len_failed : a->used_len));
	return len;
}

void requests_begin(struct requests *r, uint8_t bits)
{
	if (!r->guest.mem)
		guest_create(&r->guest);
	guest_clear(&r->guest, 0);
	r->disk = (struct blkreq_disk){ .capacity = REQUEST_SECTORS * BLKREQ_SECTOR,
					.blk_size = 512u << (bits & 3),
					.readonly = bits & 4,
					.writethrough = bits & 8,
					.discard_max = bits & 16 ? 0 : 64,
					.zeroes_max = bits & 32 ? 0 : 48,
					.unmap = !(bits & 64),
					.id = "fuzz" };
}
