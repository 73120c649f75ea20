/*
 * Fuzzer of the structured fields: addr.c, date.c, content.c, field.c. First
 * byte: which. Strings hold no line ends or NUL; a printed address reads back
 * as itself; a date is in range and survives printing.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "mime/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok) {
		abort();
	}
}

static void check_string(struct slice s)
{
	check(slice_chr(s, '\r') == SIZE_MAX && slice_chr(s, '\n') == SIZE_MAX &&
	      !slice_has_nul(s));
}

/* Printed as a list of one and parsed again it is the same address. */
static void print_and_parse(const struct mime_addr *ad, struct arena *a)
{
	struct buf text = BUF_INIT(1 << 22);
	const struct mime_addr *again;

	buf_addc(&text, '<');
	mime_addr_spec(ad, &text);
	buf_addc(&text, '>');
	again = mime_addr_parse(buf_slice(&text), a);
	check(again && !again->next);
	check(slice_eq(again->mailbox, ad->mailbox));
	buf_fini(&text);
}

static void fuzz_addr(struct slice in)
{
	struct mime_addr *ad;
	struct arena a;
	size_t n = 0;

	arena_init(&a, 1u << 24);
	ad = mime_addr_parse(in, &a);
	for (; ad; ad = ad->next) {
		check_string(ad->name);
		check_string(ad->route);
		check_string(ad->mailbox);
		check_string(ad->host);
		check(!ad->host.p || ad->mailbox.p);
		if (ad->host.p && n < 3) {
			print_and_parse(ad, &a);
		}
		n++;
	}
	check(n <= MIME_ADDRS_MAX + 1);
	check(!arena_err(&a));
	arena_fini(&a);
}

static void fuzz_date(struct slice in)
{
	struct mime_date d, again;
	char text[40];

	if (mime_date_parse(in, &d) != 0) {
		return;
	}
	check(d.year >= 1 && d.year <= 9999 && d.month >= 1 && d.month <= 12);
	check(d.day >= 1 && d.day <= 31 && d.hour >= 0 && d.hour <= 24);
	check(d.zone > -1440 && d.zone < 1440);
	if (d.year > 1 && d.year < 9999) {
		mime_date_format(d.unix_seconds, d.zone, text);
		check(mime_date_parse(slice_cstr(text), &again) == 0);
		check(again.unix_seconds == d.unix_seconds);
	}
}

static void fuzz_content(struct slice in)
{
	struct slice type, subtype;
	struct mime_param *p;
	struct arena a;
	size_t n = 0;

	arena_init(&a, 1u << 24);
	if (mime_content_type(in, &a, &type, &subtype, &p)) {
		for (; p; p = p->next) {
			check_string(p->name);
			check_string(p->value);
			check(p->name.n > 0);
			n++;
		}
	}
	check(n <= MIME_PARAMS_MAX);
	if (mime_content_disposition(in, &a, &type, &p)) {
		check(type.n > 0);
	}
	arena_fini(&a);
}

static void fuzz_fields(struct slice in)
{
	struct slice all = in;
	struct mime_field f;
	size_t n = 0;

	while (mime_field_next(&in, &f)) {
		struct buf flat = BUF_INIT(1 << 22);

		check(f.raw.p == all.p + n && f.raw.n > 0);
		n += f.raw.n;
		mime_unfold(f.body, &flat);
		check_string(buf_slice(&flat));
		buf_fini(&flat);
	}
	check(n + in.n == all.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_make((const char *)data, n);

	if (n == 0 || n > 1 << 20) {
		return 0;
	}
	in = slice_from(in, 1);
	switch (data[0] % 4) {
	case 0:
		fuzz_addr(in);
		break;
	case 1:
		fuzz_date(in);
		break;
	case 2:
		fuzz_content(in);
		break;
	default:
		fuzz_fields(in);
		break;
	}
	return 0;
}
