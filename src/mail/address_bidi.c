// The Bidi rule of RFC 5893 over a whole domain; libidn2 looks at each label alone.
#include <unictype.h>
#include <unistr.h>

#include "mail/address_domain.h"

#define BIT(category) (1u << (category))

enum {
	RTL = BIT(UC_BIDI_R) | BIT(UC_BIDI_AL),
	NEUTRAL = BIT(UC_BIDI_EN) | BIT(UC_BIDI_ES) | BIT(UC_BIDI_CS) | BIT(UC_BIDI_ET) |
		  BIT(UC_BIDI_ON) | BIT(UC_BIDI_BN) | BIT(UC_BIDI_NSM),
	IN_RTL = RTL | BIT(UC_BIDI_AN) | NEUTRAL,
	IN_LTR = BIT(UC_BIDI_L) | NEUTRAL,
	ENDS_RTL = RTL | BIT(UC_BIDI_EN) | BIT(UC_BIDI_AN),
	ENDS_LTR = BIT(UC_BIDI_L) | BIT(UC_BIDI_EN),
};

struct directions {
	unsigned first, last, all; // bits of categories; last but for trailing marks (NSM)
};

static struct directions directions_of(struct view text)
{
	struct directions d = { 0 };

	while (text.len) {
		ucs4_t code;
		int len = u8_mbtouc(&code, (const uint8_t *)text.data, text.len);
		unsigned bit = BIT(uc_bidi_category(code));

		d.first = d.all ? d.first : bit;
		d.last = bit == BIT(UC_BIDI_NSM) ? d.last : bit;
		d.all |= bit;
		text = view_from(text, (size_t)len);
	}
	return d;
}

static bool label_keeps_rule(struct view label)
{
	struct directions d = directions_of(label);
	unsigned both = BIT(UC_BIDI_EN) | BIT(UC_BIDI_AN);

	if (d.first & RTL) {
		return !(d.all & ~(unsigned)IN_RTL) && d.last & ENDS_RTL && (d.all & both) != both;
	}
	return d.first & BIT(UC_BIDI_L) && !(d.all & ~(unsigned)IN_LTR) && d.last & ENDS_LTR;
}

bool address_domain_keeps_bidi_rule(struct view u_labels)
{
	struct view label;

	if (!(directions_of(u_labels).all & (RTL | BIT(UC_BIDI_AN)))) {
		return true;
	}
	while (view_next_part(&u_labels, '.', &label)) {
		if (!label_keeps_rule(label)) {
			return false;
		}
	}
	return true;
}
