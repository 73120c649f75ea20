/* deflate: against zlib itself, at every cut, in every mood of the peer. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/rand.h"
#include "co/test_loop.h"
#include "io/deflate.h"

/* ---- a peer ----------------------------------------------------------------- */

struct peer {
	z_stream in;
	z_stream out;
};

static void peer_init(struct peer *p)
{
	*p = (struct peer){ 0 };
	assert_int_equal(deflateInit2(&p->out, 6, Z_DEFLATED, -15, 8, 0), Z_OK);
	assert_int_equal(inflateInit2(&p->in, -15), Z_OK);
}

static void peer_fini(struct peer *p)
{
	deflateEnd(&p->out);
	inflateEnd(&p->in);
}

/* What the peer sends for this text, added to out. */
static void pack(struct peer *p, struct slice text, int flush, struct buf *out)
{
	p->out.next_in = (Bytef *)text.p;
	p->out.avail_in = (uInt)text.n;
	do {
		char *room = buf_reserve(out, 4096);

		assert_non_null(room);
		p->out.next_out = (Bytef *)room;
		p->out.avail_out = 4096;
		deflate(&p->out, flush);
		buf_commit(out, 4096 - p->out.avail_out);
	} while (p->out.avail_out == 0);
}

/* What the peer makes of these bytes. Z_OK or Z_STREAM_END. */
static int unpack(struct peer *p, struct slice bytes, struct buf *out)
{
	int r = Z_OK;

	p->in.next_in = (Bytef *)bytes.p;
	p->in.avail_in = (uInt)bytes.n;
	do {
		char *room = buf_reserve(out, 4096);

		assert_non_null(room);
		p->in.next_out = (Bytef *)room;
		p->in.avail_out = 4096;
		r = inflate(&p->in, Z_SYNC_FLUSH);
		buf_commit(out, 4096 - p->in.avail_out);
	} while (p->in.avail_out == 0);
	assert_true(r == Z_OK || r == Z_BUF_ERROR || r == Z_STREAM_END);
	return r == Z_STREAM_END ? r : Z_OK;
}

/* Reads until the end or an error, in pieces of n. */
CO_FN static ssize_t read_all(struct stream *s, size_t n, struct buf *out)
{
	ssize_t r = 1;

	while (r > 0) {
		char *p = buf_reserve(out, n);

		assert_non_null(p);
		r = stream_read(s, p, n);
		if (r > 0) {
			buf_commit(out, (size_t)r);
		}
	}
	return r;
}

static void assert_text(const struct buf *got, struct slice want)
{
	assert_int_equal(got->n, want.n);
	assert_memory_equal(got->p, want.p, want.n);
}

static struct stream *over_mem(struct slice input, struct buf *output, size_t step,
			       struct slice pending)
{
	struct stream *s = NULL;
	struct stream *d = NULL;

	assert_int_equal(stream_mem_new(input, output, step, &s), 0);
	assert_int_equal(stream_deflate_new(&s, pending, &d), 0);
	assert_null(s);
	return d;
}

/* ---- reading ------------------------------------------------------------------- */

/* Text that refers to itself, and some that cannot be compressed. */
static void make_text(struct buf *out)
{
	static unsigned char noise[5000];

	for (int i = 0; i < 3000; i++) {
		buf_printf(out, "a%d FETCH %d (FLAGS BODY.PEEK[HEADER])\r\n", i, i * i);
	}
	rand_bytes(noise, sizeof(noise));
	buf_add(out, slice_make((const char *)noise, sizeof(noise)));
}

static void test_reads_at_any_cut(void **state)
{
	static const size_t steps[] = { 0, 1, 2, 3, 7, 100 };
	struct buf text = BUF_INIT(1u << 20), packed = BUF_INIT(1u << 20);
	struct peer p;

	(void)state;
	co_enter();
	make_text(&text);
	peer_init(&p);
	for (size_t at = 0; at < text.n; at += 1000) {
		pack(&p, slice_sub(buf_slice(&text), at, 1000), Z_SYNC_FLUSH, &packed);
	}
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		struct buf got = BUF_INIT(1u << 20);
		size_t ahead = i * 10;
		struct stream *s = over_mem(slice_from(buf_slice(&packed), ahead), NULL, steps[i],
					    slice_sub(buf_slice(&packed), 0, ahead));

		assert_int_equal(read_all(s, i == 1 ? 1 : 333, &got), 0);
		assert_text(&got, buf_slice(&text));
		assert_int_equal(s->bytes_in, text.n);
		stream_free(&s);
		buf_fini(&got);
	}
	peer_fini(&p);
	buf_fini(&text);
	buf_fini(&packed);
}

/* The peer may end its stream; nothing is read behind it. */
static void test_the_peer_ends(void **state)
{
	struct buf packed = BUF_INIT(64u * 1024), got = BUF_INIT(64u * 1024);
	struct stream *s;
	struct peer p;

	(void)state;
	co_enter();
	peer_init(&p);
	pack(&p, S("last words"), Z_FINISH, &packed);
	buf_adds(&packed, "and more");
	s = over_mem(buf_slice(&packed), NULL, 0, S(""));
	assert_int_equal(read_all(s, 100, &got), 0);
	assert_text(&got, S("last words"));
	assert_int_equal(stream_wait(s, NULL, CLOCK_NEVER), STREAM_READY);
	stream_free(&s);
	peer_fini(&p);
	buf_fini(&packed);
	buf_fini(&got);
}

static void refuses(struct slice input, size_t *given)
{
	struct stream *s = over_mem(input, NULL, 0, S(""));
	static char b[16384];
	ssize_t r;

	co_enter();
	*given = 0;
	while ((r = stream_read(s, b, sizeof(b))) > 0) {
		*given += (size_t)r;
	}
	assert_int_equal(r, -EPROTO);
	assert_int_equal(stream_wait(s, NULL, CLOCK_NEVER), STREAM_READY);
	assert_int_equal(stream_read(s, b, sizeof(b)), -EPROTO);
	stream_free(&s);
}

static void test_what_is_not_deflate(void **state)
{
	size_t given;

	(void)state;
	refuses(S("a1 NOOP\r\n"), &given);
	assert_int_equal(given, 0);
	refuses(S("\x07"), &given);			    /* a block type that is none */
	refuses(S("\x00\x01\x00\x00\x00"), &given);	    /* a length that is not its own */
	refuses(S("\x78\x9c\x01\x00\x00\xff\xff"), &given); /* zlib's own header */
	assert_int_equal(given, 0);
}

/* Blocks of nothing, for ever. */
static void test_endless_nothing(void **state)
{
	struct buf in = BUF_INIT(1u << 20);
	size_t given;

	(void)state;
	while (in.n <= DEFLATE_DRY_MAX + 5) {
		buf_add(&in, S("\x00\x00\x00\xff\xff"));
	}
	refuses(buf_slice(&in), &given);
	assert_int_equal(given, 0);
	buf_fini(&in);
}

/* A thousandfold is passed on as far as a large message goes, and no further. */
static void test_a_bomb(void **state)
{
	static const char zeros[1u << 20];
	struct buf in = BUF_INIT(1u << 20);
	size_t given;
	struct peer p;

	(void)state;
	peer_init(&p);
	for (int i = 0; i < 256; i++) {
		pack(&p, slice_make(zeros, sizeof(zeros)), Z_NO_FLUSH, &in);
	}
	pack(&p, S(""), Z_SYNC_FLUSH, &in);
	assert_true(in.n < 300 * 1024);
	refuses(buf_slice(&in), &given);
	assert_in_range(given, DEFLATE_FREE, DEFLATE_FREE + DEFLATE_RATIO * in.n);
	peer_fini(&p);
	buf_fini(&in);
}

/* ---- writing ------------------------------------------------------------------- */

static void test_every_write_arrives(void **state)
{
	struct buf text = BUF_INIT(1u << 20), wire = BUF_INIT(1u << 20);
	struct buf got = BUF_INIT(1u << 20);
	struct stream *s = over_mem(S(""), &wire, 0, S(""));
	size_t sent = 0, at = 0;
	struct peer p;

	(void)state;
	co_enter();
	make_text(&text);
	peer_init(&p);
	for (size_t n = 1; at < text.n; at += n, n = n * 3 + 1) {
		struct slice part = slice_sub(buf_slice(&text), at, n);

		assert_int_equal(stream_write(s, part), 0);
		unpack(&p, slice_from(buf_slice(&wire), sent), &got);
		sent = wire.n;
		assert_text(&got, slice_sub(buf_slice(&text), 0, at + part.n));
	}
	assert_true(wire.n < text.n / 2);
	assert_int_equal(s->bytes_out, text.n);
	assert_int_equal(stream_shutdown(s), 0);
	assert_true(stream_write(s, S("x")) < 0);
	stream_free(&s);
	peer_fini(&p);
	buf_fini(&text);
	buf_fini(&wire);
	buf_fini(&got);
}

/* ---- the end of compression ------------------------------------------------------ */

/* However the client ends its side, and wherever the packets are cut, what is
 * behind it is read as it is; and compression may begin again. */
static void stop_and_go(int flush, bool final, size_t step)
{
	struct buf in = BUF_INIT(64u * 1024), wire = BUF_INIT(64u * 1024),
		   got = BUF_INIT(64u * 1024);
	struct stream *s;
	struct peer p;
	char b[64];
	size_t n = 0;

	co_enter();
	peer_init(&p);
	pack(&p, S("a UNAUTHENTICATE\r\n"), flush, &in);
	if (final) {
		pack(&p, S(""), Z_FINISH, &in);
	}
	buf_adds(&in, "b LOGIN\r\n");
	deflateReset(&p.out);
	pack(&p, S("c NOOP\r\n"), Z_SYNC_FLUSH, &in);
	s = over_mem(buf_slice(&in), &wire, step, S(""));
	while (n < 18) {
		ssize_t r = stream_read(s, b + n, 18 - n);

		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_int_equal(stream_deflate_again(s, S("")), -EALREADY);
	assert_int_equal(stream_deflate_stop(s, S("a OK\r\n")), 0);
	assert_int_equal(unpack(&p, buf_slice(&wire), &got), Z_STREAM_END);
	assert_text(&got, S("a OK\r\n"));
	buf_reset(&wire);
	for (n = 0; n < 9;) {
		ssize_t r;

		assert_int_equal(stream_wait(s, NULL, CLOCK_NEVER), STREAM_READY);
		r = stream_read(s, b + n, 9 - n);
		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_memory_equal(b, "b LOGIN\r\n", 9);
	assert_int_equal(stream_write(s, S("b OK\r\n")), 0);
	assert_text(&wire, S("b OK\r\n"));
	buf_reset(&wire);
	buf_reset(&got);
	assert_int_equal(stream_deflate_again(s, S("")), 0);
	assert_int_equal(stream_write(s, S("c OK\r\n")), 0);
	inflateReset(&p.in);
	assert_int_equal(unpack(&p, buf_slice(&wire), &got), Z_OK);
	assert_text(&got, S("c OK\r\n"));
	buf_reset(&got);
	assert_int_equal(read_all(s, 10, &got), 0);
	assert_text(&got, S("c NOOP\r\n"));
	stream_free(&s);
	peer_fini(&p);
	buf_fini(&in);
	buf_fini(&wire);
	buf_fini(&got);
}

static void test_stop_and_go(void **state)
{
	(void)state;
	for (size_t step = 0; step < 12; step++) {
		stop_and_go(Z_SYNC_FLUSH, false, step);
		stop_and_go(Z_FULL_FLUSH, false, step);
		stop_and_go(Z_SYNC_FLUSH, true, step);
		stop_and_go(Z_NO_FLUSH, true, step);
		stop_and_go(Z_FINISH, false, step);
	}
}

/* A client that goes on compressing is out of step, and nobody's bug. */
static void test_a_client_that_does_not_stop(void **state)
{
	struct buf in = BUF_INIT(64u * 1024);
	struct stream *s;
	struct peer p;
	char b[64];

	(void)state;
	co_enter();
	peer_init(&p);
	pack(&p, S("abc"), Z_NO_FLUSH, &in);
	pack(&p, S(""), Z_PARTIAL_FLUSH, &in);
	s = over_mem(buf_slice(&in), NULL, 0, S(""));
	assert_true(stream_read(s, b, sizeof(b)) > 0);
	assert_int_equal(stream_deflate_stop(s, S("")), 0);
	assert_int_equal(stream_deflate_again(s, S("")), -EPROTO);
	stream_free(&s);
	peer_fini(&p);
	buf_fini(&in);
}

/* ---- waiting, over a socket ------------------------------------------------------ */

struct ends {
	struct stream *s; /* compressed */
	struct stream *raw;
	struct peer p;
};

static void ends_init(struct ends *e)
{
	struct stream *inner = NULL;

	peer_init(&e->p);
	assert_int_equal(stream_sock_pair(&inner, &e->raw), 0);
	assert_int_equal(stream_deflate_new(&inner, S(""), &e->s), 0);
}

static void ends_fini(struct ends *e)
{
	stream_free(&e->s);
	stream_free(&e->raw);
	peer_fini(&e->p);
}

CO_FN static void peer_says(struct ends *e, struct slice text, int flush)
{
	struct buf b = BUF_INIT(1u << 20);

	pack(&e->p, text, flush, &b);
	assert_int_equal(stream_write(e->raw, buf_slice(&b)), 0);
	buf_fini(&b);
}

CO_FN static void we_hear(struct ends *e, struct slice text)
{
	char b[256];
	size_t n = 0;

	while (n < text.n) {
		ssize_t r = stream_read(e->s, b + n, text.n - n);

		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_memory_equal(b, text.p, text.n);
}

CO_FN static void we_say(struct ends *e, struct slice text)
{
	struct buf got = BUF_INIT(1u << 20);
	static char b[4096];

	assert_int_equal(stream_write(e->s, text), 0);
	while (got.n < text.n) {
		ssize_t r = stream_read(e->raw, b, sizeof(b));

		assert_true(r > 0);
		unpack(&e->p, slice_make(b, (size_t)r), &got);
	}
	assert_text(&got, text);
	buf_fini(&got);
}

/* Nothing is asked of the socket while there is something here. */
static void readiness(void *arg)
{
	struct co_event ev;
	struct ends e;

	(void)arg;
	co_enter();
	co_event_init(&ev);
	ends_init(&e);
	assert_int_equal(stream_wait(e.s, &ev, clock_in_ms(5)), -ETIMEDOUT);
	peer_says(&e, S("one\r\ntwo\r\nthree\r\n"), Z_SYNC_FLUSH);
	assert_int_equal(stream_wait(e.s, &ev, clock_in_ms(5000)), STREAM_READY);
	we_hear(&e, S("one\r\n"));
	co_event_set(&ev);
	assert_int_equal(stream_wait(e.s, &ev, clock_in_ms(5000)), STREAM_READY);
	we_hear(&e, S("two\r\nthree\r"));
	assert_int_equal(stream_wait(e.s, NULL, clock_in_ms(5000)), STREAM_READY);
	we_hear(&e, S("\n"));
	assert_int_equal(stream_wait(e.s, &ev, clock_in_ms(5000)), STREAM_EVENT);
	co_event_clear(&ev);
	/* a flush of nothing is nothing to read */
	assert_int_equal(stream_write(e.raw, S("\x00\x00\x00\xff\xff")), 0);
	assert_int_equal(stream_wait(e.s, &ev, clock_in_ms(20)), -ETIMEDOUT);
	assert_int_equal(stream_write(e.raw, S("\x00\x00")), 0);
	stream_set_deadline(e.s, clock_in_ms(20));
	char c;
	assert_int_equal(stream_read(e.s, &c, 1), -ETIMEDOUT);
	assert_int_equal(stream_write(e.raw, S("\x00\xff\xff")), 0);
	stream_set_deadline(e.s, CLOCK_NEVER);
	peer_says(&e, S("four"), Z_SYNC_FLUSH);
	we_hear(&e, S("four"));
	stream_free(&e.raw);
	assert_int_equal(stream_wait(e.s, NULL, clock_in_ms(5000)), STREAM_READY);
	assert_int_equal(stream_read(e.s, &c, 1), 0);
	ends_fini(&e);
}

static void test_readiness(void **state)
{
	(void)state;
	test_run_loop(readiness, NULL);
}

/* After a while of silence memory is given back, and both sides still know what
 * was said before. */
static void parking(void *arg)
{
	struct ends e;
	size_t before, busy, parked;
	struct slice said = S("the quick brown fox jumps over the lazy dog, once and again\r\n");

	(void)arg;
	co_enter();
	ends_init(&e);
	before = mallinfo2().uordblks;
	for (int i = 0; i < 3; i++) {
		peer_says(&e, said, Z_SYNC_FLUSH);
		we_hear(&e, said);
		we_say(&e, said);
		busy = mallinfo2().uordblks;
		assert_int_equal(stream_wait(e.s, NULL, clock_in_ms(DEFLATE_PARK_MS + 50)),
				 -ETIMEDOUT);
		parked = mallinfo2().uordblks;
	}
#ifndef WITH_SANITIZER /* which counts nothing */
	assert_in_range(busy - before, 60 * 1024, 100 * 1024);
	assert_true(parked < before + 4096);
#endif
	(void)before, (void)busy, (void)parked;
	we_say(&e, said);
	peer_says(&e, said, Z_NO_FLUSH);
	peer_says(&e, S(""), Z_SYNC_FLUSH);
	we_hear(&e, said);
	assert_int_equal(stream_detach(e.s), 0);
	assert_int_equal(stream_attach(e.s), 0);
	ends_fini(&e);
}

static void test_parking(void **state)
{
	(void)state;
	test_run_loop(parking, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_at_any_cut),
		cmocka_unit_test(test_the_peer_ends),
		cmocka_unit_test(test_what_is_not_deflate),
		cmocka_unit_test(test_endless_nothing),
		cmocka_unit_test(test_a_bomb),
		cmocka_unit_test(test_every_write_arrives),
		cmocka_unit_test(test_stop_and_go),
		cmocka_unit_test(test_a_client_that_does_not_stop),
		cmocka_unit_test(test_readiness),
		cmocka_unit_test(test_parking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
