/* Letters and bits (rights.h). */
#include "imap/rights.h"

#include <errno.h>

#define C_RIGHTS (STORE_RIGHT_CREATE | STORE_RIGHT_DELETEBOX)
#define D_RIGHTS (STORE_RIGHT_DELETEMSG | STORE_RIGHT_EXPUNGE)

static const struct {
	char letter;
	unsigned rights; /* any of them: the letter is written */
} letters[] = {
	{ 'l', STORE_RIGHT_LOOKUP },
	{ 'r', STORE_RIGHT_READ },
	{ 's', STORE_RIGHT_SEEN },
	{ 'w', STORE_RIGHT_WRITE },
	{ 'i', STORE_RIGHT_INSERT },
	{ 'p', STORE_RIGHT_POST },
	{ 'k', STORE_RIGHT_CREATE },
	{ 'x', STORE_RIGHT_DELETEBOX },
	{ 't', STORE_RIGHT_DELETEMSG },
	{ 'e', STORE_RIGHT_EXPUNGE },
	{ 'a', STORE_RIGHT_ADMIN },
	{ 'c', C_RIGHTS },
	{ 'd', D_RIGHTS },
};
#define N_LETTERS (sizeof(letters) / sizeof(letters[0]))

int rights_parse(struct slice text, enum store_acl_op *op_out, unsigned *rights_out)
{
	enum store_acl_op op = STORE_ACL_SET;
	unsigned rights = 0;

	if (text.n && (text.p[0] == '+' || text.p[0] == '-')) {
		op = text.p[0] == '+' ? STORE_ACL_ADD : STORE_ACL_REMOVE;
		text = slice_from(text, 1);
	}
	for (size_t i = 0; i < text.n; i++) {
		size_t k = 0;

		while (k < N_LETTERS && letters[k].letter != text.p[i]) {
			k++;
		}
		if (k == N_LETTERS) {
			return -EINVAL;
		}
		rights |= letters[k].rights;
	}
	*op_out = op;
	*rights_out = rights;
	return 0;
}

void rights_put(struct buf *b, unsigned rights)
{
	if (rights == 0) {
		buf_adds(b, "\"\"");
	}
	for (size_t i = 0; i < N_LETTERS; i++) {
		if (rights & letters[i].rights) {
			buf_addc(b, letters[i].letter);
		}
	}
}

void rights_put_each(struct buf *b, unsigned rights)
{
	for (size_t i = 0; i < N_LETTERS; i++) {
		if (rights & letters[i].rights) {
			buf_addc(b, ' ');
			buf_addc(b, letters[i].letter);
		}
	}
}
