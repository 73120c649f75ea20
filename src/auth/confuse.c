/*
 * Whether a new name could be taken for another one (RFC 8265 8.5, UTS 39;
 * THREATS SL-16): only of names with letters beyond ASCII, and only when they
 * are made. What mail is addressed to is looked up as it is.
 *
 * Refused are: what cannot be seen (default ignorable), characters that are not
 * meant for identifiers, words of mixed scripts (but for those that belong
 * together, such as the Japanese ones), digits of mixed scripts, and names that
 * look like one that the domain has. Not the other way round: a plain ASCII
 * name can always be had.
 */
#include <stdlib.h>
#include <unicode/uchar.h>
#include <unicode/uspoof.h>

#include "auth/rows.h"
#include "base/utf8.h"

#define SKELETON_MAX (8 * AUTH_LOCAL_MAX)

struct skeleton {
	char text[SKELETON_MAX];
	int32_t n;
};

static bool can_be_seen(struct slice name)
{
	while (name.n > 0) {
		int32_t c = utf8_next(&name);

		if (c < 0 || u_hasBinaryProperty(c, UCHAR_DEFAULT_IGNORABLE_CODE_POINT)) {
			return false;
		}
	}
	return true;
}

/* What an identifier may be made of, and all of ASCII that an address may. */
static bool set_rules(USpoofChecker *sc, UErrorCode *e)
{
	USet *allowed = uset_cloneAsThawed(uspoof_getRecommendedSet(e));

	uset_addRange(allowed, 0x20, 0x7e);
	uspoof_setAllowedChars(sc, allowed, e);
	uspoof_setRestrictionLevel(sc, USPOOF_HIGHLY_RESTRICTIVE);
	uspoof_setChecks(sc,
			 USPOOF_RESTRICTION_LEVEL | USPOOF_INVISIBLE | USPOOF_MIXED_NUMBERS |
				 USPOOF_CHAR_LIMIT,
			 e);
	uset_close(allowed);
	return U_SUCCESS(*e);
}

/* 1: it may be a name; 0: not; -ENOMEM. */
static int is_plain(struct slice name)
{
	UErrorCode e = U_ZERO_ERROR;
	USpoofChecker *sc = uspoof_open(&e);
	int r = -ENOMEM;

	if (U_SUCCESS(e) && set_rules(sc, &e)) {
		r = uspoof_check2UTF8(sc, name.p, (int32_t)name.n, NULL, &e) == 0 && U_SUCCESS(e);
	}
	uspoof_close(sc);
	return r;
}

static bool look_of(USpoofChecker *sc, struct slice name, struct skeleton *out)
{
	UErrorCode e = U_ZERO_ERROR;

	out->n =
		uspoof_getSkeletonUTF8(sc, 0, name.p, (int32_t)name.n, out->text, SKELETON_MAX, &e);
	return U_SUCCESS(e) && out->n <= SKELETON_MAX;
}

struct looks {
	USpoofChecker *sc;
	struct skeleton mine;
	struct skeleton other;
};

/* 1: this one looks the same. */
static int compare(void *arg, struct slice key, struct slice value)
{
	struct looks *l = arg;

	(void)value;
	return look_of(l->sc, slice_from(key, 1), &l->other) && l->other.n == l->mine.n &&
	       memcmp(l->other.text, l->mine.text, (size_t)l->mine.n) == 0;
}

/* 1: another name of the domain looks the same; 0; -errno. */
CO_FN static int is_taken(struct auth *a, const struct domain *d, struct slice name)
{
	UErrorCode e = U_ZERO_ERROR;
	struct looks *l = malloc(sizeof(*l));
	int r = -ENOMEM;

	if (!l) {
		return r;
	}
	l->sc = uspoof_open(&e);
	if (U_SUCCESS(e) && look_of(l->sc, name, &l->mine)) {
		r = kv_scan_prefix(a->kv, dir_part(d->id), S("N"), compare, l);
	}
	uspoof_close(l->sc);
	free(l);
	return r;
}

int name_check(struct auth *a, const struct domain *d, const struct addr *at, struct err *e)
{
	int r;

	if (!slice_has_8bit(at->local)) {
		return 0;
	}
	r = can_be_seen(at->local) ? is_plain(at->local) : 0;
	if (r == 0) {
		return err_set(e, AUTH_INVALID,
			       "the name has characters that are not seen, or mixes scripts", NULL);
	}
	if (r > 0) {
		r = is_taken(a, d, at->local);
	}
	if (r > 0) {
		return err_set(e, AUTH_EXISTS, "another name looks the same", NULL);
	}
	return r < 0 ? dir_temp(e, r) : 0;
}
