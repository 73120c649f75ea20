/*
 * list: the extended LIST command (RFC 5258, RFC 9051 6.3.9) without its
 * input and output: options parsed, rows gathered, and which of them are
 * shown with what. Pure; cmd_list.c feeds and prints it.
 *
 * Rows are names as the client writes them. They come from several sources
 * (list_rows_add merges what two of them say of one name), then
 * list_rows_finish adds the levels above that nobody named and sorts, and
 * list_select decides.
 */
#ifndef IMAP_LIST_H
#define IMAP_LIST_H

#include "base/cur.h"
#include "base/table.h"
#include "imap/pattern.h"

#define LIST_PATTERNS_MAX 64u
#define LIST_ENTRIES_MAX 32u /* METADATA of RFC 9590 */

enum list_sel {
	LIST_SEL_SUBSCRIBED = 1,
	LIST_SEL_REMOTE = 2, /* there are none here: changes nothing */
	LIST_SEL_RECURSIVE = 4,
	LIST_SEL_SPECIAL_USE = 8
};
enum list_ret {
	LIST_RET_SUBSCRIBED = 1,
	LIST_RET_CHILDREN = 2,
	LIST_RET_SPECIAL_USE = 4,
	LIST_RET_STATUS = 8,
	LIST_RET_MYRIGHTS = 16, /* RFC 8440 */
	LIST_RET_METADATA = 32	/* RFC 9590 */
};

struct list_args {
	bool extended; /* in one of the three ways of RFC 5258 3 */
	unsigned sel;  /* enum list_sel */
	unsigned ret;  /* enum list_ret; what sel implies is in it */
	struct slice ref;
	struct slice *patterns; /* as they came */
	size_t n_patterns;
	unsigned status;       /* items, see status.h */
	struct slice *entries; /* METADATA's, canonical */
	size_t n_entries;
};

/*
 * [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts], to
 * the end. Errors are in the cursor; -EMSGSIZE: more than we allow.
 */
void list_parse(struct cur *c, struct arena *a, struct list_args *out);
/* LSUB: SP mailbox SP list-mailbox. */
void list_parse_basic(struct cur *c, struct arena *a, struct list_args *out);

/* Special uses by name (RFC 6154), in the order they are told. */
struct list_use {
	unsigned use; /* enum store_use */
	struct slice name;
};
extern const struct list_use list_uses[];
extern const size_t list_n_uses;

/* The uses a mailbox can be given: the others would be virtual mailboxes. */
#define LIST_USES_GIVEN \
	(STORE_USE_ARCHIVE | STORE_USE_DRAFTS | STORE_USE_JUNK | STORE_USE_SENT | STORE_USE_TRASH)
/* A use-attr by its name; 0: none of those. */
unsigned list_use_given(struct slice name);
/* "\Sent \Trash" */
void list_put_uses(struct buf *b, unsigned uses);

/* create-params of CREATE. */
struct list_create {
	unsigned uses;
	bool bad_use; /* one was named that cannot be given: NO [USEATTR] */
};
/* [SP "(" "USE" SP "(" [use-attr *(SP use-attr)] ")" ")"], RFC 6154 6 and
 * RFC 4466 2.2. */
void list_parse_create(struct cur *c, struct list_create *out);

struct list_row {
	struct slice name; /* UTF-8, NFC */
	bool exists;	   /* false: a subscription, or only a parent */
	bool noselect;
	bool subscribed;
	bool has_children; /* mailboxes that exist */
	unsigned uses;	   /* enum store_use */
	unsigned rights;   /* enum store_right */
	/* decided by list_row_match and list_select */
	bool matches;	/* a pattern */
	bool selected;	/* meets the selection criteria */
	bool childinfo; /* a name below meets them */
	bool show;
};

struct list_rows {
	struct arena *arena;
	struct table by_name;
	struct list_row **v; /* sorted, INBOX first; after list_rows_finish */
	size_t n;
	int err; /* -ENOMEM, sticky */
};
void list_rows_init(struct list_rows *l, struct arena *a);
void list_rows_fini(struct list_rows *l);
/* The row of this name (copied), made if it is missing; NULL: no memory. */
struct list_row *list_rows_add(struct list_rows *l, struct slice name);
/* 0 or -ENOMEM. */
int list_rows_finish(struct list_rows *l);

void list_row_match(struct list_row *row, const struct pattern *p, size_t n);
/* All rows are matched: which are shown, and CHILDINFO. */
void list_select(struct list_rows *l, const struct list_args *args);

/* "(\Attributes)" of a row. */
void list_put_attributes(struct buf *b, const struct list_row *row, const struct list_args *args,
			 bool rev2);
/* " (CHILDINFO (...))" if there is to be any. */
void list_put_extended(struct buf *b, const struct list_row *row, const struct list_args *args);

#endif
